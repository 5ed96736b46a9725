/* Twelve meters like Eastron's, a feeder meter, and relay boards like Waveshare's on a pty, byte by byte at line
 * speed. With `pzem`, the twelve meters are like Peacefair's.
 *
 * usage: paced_slave LINK BAUD TURNAROUND_US [pzem|eastron [FIRST]]
 *
 * A request counts as on the wire for its characters from the moment it arrives; the answer follows after 3.5
 * characters and the turnaround. Commands on stdin, one a line:
 *   current UNIT AMPS [AFTER]  what a meter shows from AFTER seconds from now on
 *   opened UNIT          print when the relay of a meter's port was opened after its last change, -1 if not yet
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

#define METERS 12
#define RELAY 1
#define MODULE 2 /* contactors and inputs */
#define FEEDER 30
#define INPUTS 8
#define CHANNELS 16
#define MOST 20000

static double character, silence_, turnaround;
static double last_byte = -1.0;
static int first = 11; /* address of the first meter */
static float amps[METERS], coming[METERS];
static double comes_at[METERS]; /* when `coming` becomes what is shown */
static double opened_at[METERS];
static int silent_unit[256];
static double lapses[CHANNELS], module_lapses[CHANNELS]; /* 0: open; INFINITY: closed for good */

static double began, floors;
static double first_at = -1.0; /* when the first request counted arrived */
static long transactions, violations, unanswered, renewals, strangers;
static long feeder_reads, input_reads, coil_reads, power_reads;
static double shortest_gap;
static double *reads[METERS];
static int read_count[METERS];
static double *told; /* when the relay board's coils were told entirely */
static int told_count;
static int pzem;
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
    first_at = -1.0;
    transactions = violations = unanswered = renewals = strangers = 0;
    feeder_reads = input_reads = coil_reads = power_reads = 0;
    shortest_gap = INFINITY;
    for (int i = 0; i < METERS; i++) read_count[i] = 0;
    write_count = told_count = 0;
}

static void stats(void) {
    printf("{\"elapsed\": %.6f, \"span\": %.6f, \"floors\": %.6f, \"transactions\": %ld, \"violations\": %ld, \"unanswered\": %ld, "
           "\"renewals\": %ld, \"strangers\": %ld, \"feeder_reads\": %ld, \"input_reads\": %ld, \"coil_reads\": %ld, "
           "\"power_reads\": %ld, \"shortest_gap_characters\": %.3f, \"reads\": [",
           now() - began, first_at < 0 ? 0.0 : last_byte + silence_ - first_at, floors, transactions, violations, unanswered, renewals, strangers, feeder_reads, input_reads,
           coil_reads, power_reads, isinf(shortest_gap) ? -1.0 : shortest_gap / character);
    for (int i = 0; i < METERS; i++) {
        printf("%s[", i ? ", " : "");
        for (int k = 0; k < read_count[i]; k++) printf("%s%.5f", k ? "," : "", reads[i][k]);
        printf("]");
    }
    printf("], \"writes\": [");
    for (int i = 0; i < write_count; i++)
        printf("%s{\"at\": %.6f, \"channel\": %d, \"closed\": %d, \"changed\": %.6f}", i ? ", " : "", writes[i].at,
               writes[i].channel, writes[i].closed, writes[i].changed);
    printf("], \"told\": [");
    for (int i = 0; i < told_count; i++) printf("%s%.6f", i ? "," : "", told[i]);
    printf("]}\n");
    fflush(stdout);
}

static void settle(double at) {
    for (int i = 0; i < METERS; i++)
        if (comes_at[i] <= at) {
            amps[i] = coming[i];
            comes_at[i] = INFINITY;
        }
}

static float shown(int unit, int address) {
    float flows = 0;
    if (unit == FEEDER) {
        for (int i = 0; i < METERS; i++) flows += amps[i];
    } else {
        flows = amps[unit - first];
    }
    switch (address) {
    case 0x00: case 0x02: case 0x04: return 230.0f;
    case 0x06: return flows;
    case 0x0C: case 0x34: return flows * 230.0f * 0.6f;
    case 0x48: return 100.0f;
    default: return 0.0f;
    }
}

static int registers(int unit, int address, int count, uint8_t *reply) {
    if (count < 2 || count > 20 || count % 2) { strangers++; return 0; }
    reply[2] = 2 * count;
    for (int k = 0; k < count / 2; k++) {
        float found = shown(unit, address + 2 * k);
        uint32_t raw;
        memcpy(&raw, &found, 4);
        for (int i = 0; i < 4; i++) reply[3 + 4 * k + i] = raw >> (24 - 8 * i);
    }
    return 3 + 2 * count;
}

/* Ten registers from 0 on: V/10, mA, W/10, Wh, Hz/10, power factor, alarm; pairs with the low word first. */
static int pzem_registers(int unit, int address, int count, uint8_t *reply) {
    if (address < 0 || count < 1 || address + count > 10) { strangers++; return 0; }
    uint32_t milliamps = amps[unit - first] * 1000, deciwatts = amps[unit - first] * 230 * 0.6 * 10;
    uint16_t held[10] = {2300, milliamps, milliamps >> 16, deciwatts, deciwatts >> 16, 100, 0, 500, 60, 0};
    reply[2] = 2 * count;
    for (int i = 0; i < count; i++) {
        reply[3 + 2 * i] = held[address + i] >> 8;
        reply[4 + 2 * i] = held[address + i];
    }
    return 3 + 2 * count;
}

static int bits(double *closed_until, int count, double complete, uint8_t *reply) {
    int bytes = (count + 7) / 8;
    if (bytes > 4) { strangers++; return 0; }
    reply[2] = bytes;
    memset(reply + 3, 0, bytes);
    for (int i = 0; closed_until && i < count && i < CHANNELS; i++)
        if (closed_until[i] > complete) reply[3 + i / 8] |= 1 << (i % 8);
    return 3 + bytes;
}

static int coil(int unit, int address, int value, double complete) {
    double *until = unit == RELAY ? lapses : module_lapses;
    int timed = address >= 0x200 && address < 0x200 + CHANNELS;
    int channel = timed ? address - 0x200 : address;
    if (channel >= CHANNELS) { strangers++; return 0; }
    int was = until[channel] > complete;
    int closed = timed || value == 0xFF00;
    until[channel] = timed ? complete + value * 0.1 : closed ? INFINITY : 0.0;
    if (timed && was) {
        renewals++;
    } else if (unit == RELAY && write_count < MOST) {
        writes[write_count].at = complete;
        writes[write_count].channel = channel + 1;
        writes[write_count].closed = closed;
        writes[write_count++].changed = channel < METERS ? changed_at[channel] : 0.0;
    }
    if (unit == RELAY && channel < METERS && !closed && opened_at[channel] < 0 && complete > changed_at[channel])
        opened_at[channel] = complete;
    return 6;
}

/* Returns the size of the answer without CRC, 0 for silence. */
static int answer(const uint8_t *request, uint8_t *reply, double complete) {
    int unit = request[0], function = request[1];
    int address = request[2] << 8 | request[3], value = request[4] << 8 | request[5];
    memcpy(reply, request, 6);
    settle(complete);
    if (silent_unit[unit]) { unanswered++; return 0; }
    if ((unit == RELAY || unit == MODULE) && function == 5) return coil(unit, address, value, complete);
    if ((unit == RELAY || unit == MODULE) && function == 1) {
        coil_reads++;
        return bits(unit == RELAY ? lapses : module_lapses, value, complete, reply);
    }
    if (unit == MODULE && function == 3) { /* Its inputs are linked to none of its relays: it is fit for use as it is. */
        if (address != 0x1000 || value < 1 || value > 8) { strangers++; return 0; }
        reply[2] = 2 * value;
        memset(reply + 3, 0, 2 * value);
        return 3 + 2 * value;
    }
    if (unit == MODULE && function == 2) {
        input_reads++;
        return bits(NULL, value, complete, reply);
    }
    if (unit == FEEDER && function == 4) {
        feeder_reads++;
        return registers(unit, address, value, reply);
    }
    if (unit >= first && unit < first + METERS && function == 4) {
        int meter = unit - first, current = pzem ? 0x02 : 0x07, power = pzem ? 0x04 : 0x0D;
        if (address <= current - 1 && address + value > current && read_count[meter] < MOST)
            reads[meter][read_count[meter]++] = complete;
        if (address <= power - 1 && address + value > power) power_reads++;
        return pzem ? pzem_registers(unit, address, value, reply) : registers(unit, address, value, reply);
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
    if (first_at < 0) first_at = arrived;
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
    if (request[0] == RELAY && request[1] == 1 && told_count < MOST) told[told_count++] = last_byte;
    floors += turnaround + size * character + silence_;
}

static void obey(char *line) {
    int unit;
    double value, later = 0;
    if (sscanf(line, "current %d %lf %lf", &unit, &value, &later) >= 2) {
        coming[unit - first] = value;
        comes_at[unit - first] = changed_at[unit - first] = now() + later;
        opened_at[unit - first] = -1;
    } else if (sscanf(line, "opened %d", &unit) == 1) {
        int meter = unit - first;
        printf("{\"after\": %.6f}\n", opened_at[meter] < 0 ? -1.0 : opened_at[meter] - changed_at[meter]);
        fflush(stdout);
    } else if (sscanf(line, "silent %d %lf", &unit, &value) == 2) {
        silent_unit[unit] = value != 0;
    } else if (!strncmp(line, "reset", 5)) {
        reset();
    } else if (!strncmp(line, "stats", 5)) {
        stats();
    }
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 6) return 2;
    pzem = argc > 4 && !strcmp(argv[4], "pzem");
    if (argc == 6) first = atoi(argv[5]);
    character = 10.0 / atof(argv[2]);
    silence_ = atof(argv[2]) > 19200 ? 0.00175 : 3.5 * character;
    turnaround = atof(argv[3]) * 1e-6;
    for (int i = 0; i < METERS; i++) {
        reads[i] = calloc(MOST, sizeof(double));
        comes_at[i] = INFINITY;
        opened_at[i] = -1;
    }
    writes = calloc(MOST, sizeof(*writes));
    told = calloc(MOST, sizeof(*told));
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
