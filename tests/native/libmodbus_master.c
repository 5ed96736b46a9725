/* Twelve meters read in a loop by libmodbus, with the silence of 3.5 characters kept between frames.
 *
 * usage: libmodbus_master DEVICE BAUD
 *
 * Prints "ready" after the first round. A current above 5 A has the relay of that meter's port opened at once. At
 * SIGTERM prints how many transactions failed, as a line of JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <modbus.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIRST 11
#define METERS 12
#define RELAY 1
#define CURRENT 0x06
#define LIMIT 5.0f

static volatile sig_atomic_t stopped;
static struct timespec quiet_since;
static double quiet_for;
static long failed;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static void keep_silence(void) {
    struct timespec until = quiet_since;
    until.tv_nsec += (long)(quiet_for * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) { }
}

static void note(int result) {
    clock_gettime(CLOCK_MONOTONIC, &quiet_since);
    if (result < 0) failed++;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    double baud = atof(argv[2]);
    modbus_t *context = modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1);
    if (context == NULL || modbus_connect(context)) {
        fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
        return 1;
    }
    modbus_set_response_timeout(context, 0, 300000);
    quiet_for = baud > 19200 ? 0.00175 : 35.0 / baud;
    signal(SIGTERM, stop);
    setvbuf(stdout, NULL, _IOLBF, 0);
    clock_gettime(CLOCK_MONOTONIC, &quiet_since);
    for (int begun = 0; !stopped; begun = 1) {
        for (int meter = 0; meter < METERS && !stopped; meter++) {
            uint16_t found[2];
            modbus_set_slave(context, FIRST + meter);
            keep_silence();
            int got = modbus_read_input_registers(context, CURRENT, 2, found);
            note(got);
            if (got == 2 && modbus_get_float_abcd(found) > LIMIT) {
                modbus_set_slave(context, RELAY);
                keep_silence();
                note(modbus_write_bit(context, meter, 0));
            }
        }
        if (!begun) puts("ready");
    }
    printf("{\"failed\": %ld}\n", failed);
    modbus_close(context);
    modbus_free(context);
    return 0;
}
