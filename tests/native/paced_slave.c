/* Twelve meters like Eastron's and a relay board like Waveshare's on a pty, byte by byte at line speed.
 *
 * usage: paced_slave LINK BAUD TURNAROUND_US
 *
 * A request counts as on the wire for its characters from the moment it arrives; the answer follows after 3.5
 * characters and the turnaround. Commands on stdin, one a line:
 *   current UNIT AMPS    what a meter shows from now on
 *   silent UNIT 0|1      whether a board answers
 *   reset                forget what was counted
 *   stats                print what was counted, as one line of JSON
 * Times are CLOCK_MONOTONIC in seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FIRST 11
#define METERS 12
#define RELAY 1
#define CHANNELS 16
#define MOST 20000

static double character, silence_, turnaround;
static double last_byte = -1.0;
static float amps[METERS];
static int silent_unit[256];
static double lapses[CHANNELS]; /* 0: open; INFINITY: closed for good */

static double began, floors;
static long transactions, violations, unanswered, renewals, strangers;
static double shortest_gap;
static double *reads[METERS];
static int read_count[METERS];
static struct { double at; int channel; int closed; double changed; } *writes;
static int write_count;
static double changed_at[METERS];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void sleep_until(double at) {
    struct timespec t = {(time_t)at, (long)((at - floor(at)) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) { }
}

static uint16_t crc16(const uint8_t *data, int size) {
    uint16_t crc = 0xFFFF;
    for (int i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ 0xA001 : crc >> 1;
    }
    return crc;
}

static void reset(void) {
    began = now();
    floors = 0;
    transactions = violations = unanswered = renewals = strangers = 0;
    shortest_gap = INFINITY;
    for (int i = 0; i < METERS; i++) read_count[i] = 0;
    write_count = 0;
}

static void stats(void) {
    printf("{\"elapsed\": %.6f, \"floors\": %.6f, \"transactions\": %ld, \"violations\": %ld, \"unanswered\": %ld, "
           "\"renewals\": %ld, \"strangers\": %ld, \"shortest_gap_characters\": %.3f, \"reads\": [",
           now() - began, floors, transactions, violations, unanswered, renewals, strangers,
           isinf(shortest_gap) ? -1.0 : shortest_gap / character);
    for (int i = 0; i < METERS; i++) {
        printf("%s[", i ? ", " : "");
        for (int k = 0; k < read_count[i]; k++) printf("%s%.5f", k ? "," : "", reads[i][k]);
        printf("]");
    }
    printf("], \"writes\": [");
    for (int i = 0; i < write_count; i++)
        printf("%s{\"at\": %.6f, \"channel\": %d, \"closed\": %d, \"changed\": %.6f}", i ? ", " : "", writes[i].at,
               writes[i].channel, writes[i].closed, writes[i].changed);
    printf("]}\n");
    fflush(stdout);
}

static int float_at(int unit, int address, float *value) {
    switch (address) {
    case 0x00: *value = 230.0f; return 1;
    case 0x06: *value = amps[unit - FIRST]; return 1;
    case 0x0C: *value = amps[unit - FIRST] * 230.0f * 0.6f; return 1;
    case 0x48: *value = 100.0f; return 1;
    default: return 0;
    }
}

/* Returns the size of the answer without CRC, 0 for silence. */
static int answer(const uint8_t *request, uint8_t *reply, double complete) {
    int unit = request[0], function = request[1];
    int address = request[2] << 8 | request[3], value = request[4] << 8 | request[5];
    memcpy(reply, request, 6);
    if (silent_unit[unit]) { unanswered++; return 0; }
    if (unit == RELAY && function == 5) {
        int timed = address >= 0x200 && address < 0x200 + CHANNELS;
        int channel = timed ? address - 0x200 : address;
        if (channel >= CHANNELS) return 0;
        int was = lapses[channel] > complete;
        lapses[channel] = timed ? complete + value * 0.1 : value == 0xFF00 ? INFINITY : 0.0;
        if (timed && was) renewals++;
        else if (write_count < MOST) {
            writes[write_count].at = complete;
            writes[write_count].channel = channel + 1;
            writes[write_count].closed = timed || value == 0xFF00;
            writes[write_count++].changed = channel < METERS ? changed_at[channel] : 0.0;
        }
        return 6;
    }
    if (unit == RELAY && function == 1) {
        int bytes = (value + 7) / 8;
        reply[2] = bytes;
        memset(reply + 3, 0, bytes);
        for (int i = 0; i < value && i < CHANNELS; i++)
            if (lapses[i] > complete) reply[3 + i / 8] |= 1 << (i % 8);
        return 3 + bytes;
    }
    if (unit >= FIRST && unit < FIRST + METERS && function == 4 && value == 2) {
        float found;
        uint32_t raw;
        if (!float_at(unit, address, &found)) return 0;
        memcpy(&raw, &found, 4);
        reply[2] = 4;
        for (int i = 0; i < 4; i++) reply[3 + i] = raw >> (24 - 8 * i);
        if (address == 0x06 && read_count[unit - FIRST] < MOST)
            reads[unit - FIRST][read_count[unit - FIRST]++] = complete;
        return 7;
    }
    strangers++;
    return 0;
}

static void serve(int fd, const uint8_t *request, double arrived) {
    uint8_t reply[64];
    double complete = arrived + 8 * character;
    if (last_byte > 0) {
        double gap = arrived - last_byte;
        if (gap < shortest_gap) shortest_gap = gap;
        if (gap < silence_) violations++;
    }
    last_byte = complete;
    uint16_t crc = crc16(request, 6);
    if ((crc & 0xFF) != request[6] || (crc >> 8) != request[7]) { strangers++; return; }
    transactions++;
    int size = answer(request, reply, complete);
    floors += 8 * character + silence_;
    if (size == 0) return;
    crc = crc16(reply, size);
    reply[size++] = crc & 0xFF;
    reply[size++] = crc >> 8;
    double begin = complete + silence_ + turnaround;
    for (int i = 0; i < size; i++) {
        sleep_until(begin + (i + 1) * character);
        if (write(fd, reply + i, 1) != 1) return;
    }
    last_byte = now();
    floors += turnaround + size * character + silence_;
}

static void obey(char *line) {
    int unit;
    double value;
    if (sscanf(line, "current %d %lf", &unit, &value) == 2) {
        amps[unit - FIRST] = value;
        changed_at[unit - FIRST] = now();
    } else if (sscanf(line, "silent %d %lf", &unit, &value) == 2) {
        silent_unit[unit] = value != 0;
    } else if (!strncmp(line, "reset", 5)) {
        reset();
    } else if (!strncmp(line, "stats", 5)) {
        stats();
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    character = 10.0 / atof(argv[2]);
    silence_ = atof(argv[2]) > 19200 ? 0.00175 : 3.5 * character;
    turnaround = atof(argv[3]) * 1e-6;
    for (int i = 0; i < METERS; i++) reads[i] = calloc(MOST, sizeof(double));
    writes = calloc(MOST, sizeof(*writes));
    setvbuf(stdin, NULL, _IONBF, 0); /* so that poll sees every line */
    struct sched_param priority = {.sched_priority = 50};
    int realtime = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;

    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return 1;
    struct termios raw;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    unlink(argv[1]);
    if (symlink(ptsname(master), argv[1])) return 1;
    reset();
    printf("{\"ready\": true, \"realtime\": %s}\n", realtime ? "true" : "false");
    fflush(stdout);

    uint8_t buffer[512];
    int held = 0;
    double arrived = 0;
    char line[256];
    struct pollfd wait[2] = {{master, POLLIN, 0}, {0, POLLIN, 0}};
    for (;;) {
        if (poll(wait, 2, -1) < 0) continue;
        if (wait[1].revents) {
            if (!fgets(line, sizeof line, stdin)) return 0;
            obey(line);
        }
        if (!(wait[0].revents & POLLIN)) continue;
        int got = read(master, buffer + held, sizeof buffer - held);
        if (got <= 0) continue;
        if (held == 0) arrived = now();
        held += got;
        if (held >= 8) {
            serve(master, buffer, arrived);
            held = 0;
        }
    }
}
