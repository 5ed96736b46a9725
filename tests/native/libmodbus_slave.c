/* A board that is both relays and meter, served by libmodbus: somebody else's idea of the protocol.
 *
 * usage: libmodbus_slave rtu DEVICE BAUD UNIT
 *        libmodbus_slave tcp PORT
 *
 * Eight coils from 0, input registers as on Eastron's meters. The current is that of 2 A for each closed coil, so
 * that what is written can be seen in what is read. Two holding registers tell its serial number. Prints "ready"
 * when it listens. Over TCP it answers for every unit and serves one connection after the other.
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COILS 8
#define REGISTERS 0x50
#define SERIAL 0xFC00

/* libmodbus' own modbus_set_float_abcd means different orders in different versions. */
static void put(modbus_mapping_t *map, int address, float value) {
    uint32_t raw;
    memcpy(&raw, &value, 4);
    map->tab_input_registers[address] = raw >> 16;
    map->tab_input_registers[address + 1] = raw & 0xFFFF;
}

static void measure(modbus_mapping_t *map) {
    float amps = 0;
    for (int i = 0; i < COILS; i++) amps += map->tab_bits[i] ? 2.0f : 0.0f;
    put(map, 0x00, 230.0f);
    put(map, 0x06, amps);
    put(map, 0x0C, amps * 150.0f);
    put(map, 0x48, 12.5f);
}

/* Answers until the connection ends; on a serial line it does not. */
static void serve(modbus_t *context, modbus_mapping_t *map, int serial) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int got = modbus_receive(context, query);
        if (got > 0) {
            measure(map);
            modbus_reply(context, query, got, map);
        } else if (got < 0 && !serial) {
            return;
        } else if (got < 0 && (errno == EIO || errno == EBADF || errno == ENODEV)) {
            return;
        }
    }
}

static int rtu(const char *device, int baud, int unit, modbus_mapping_t *map) {
    modbus_t *context = modbus_new_rtu(device, baud, 'N', 8, 1);
    if (context == NULL || modbus_set_slave(context, unit) || modbus_connect(context)) {
        fprintf(stderr, "%s: %s\n", device, modbus_strerror(errno));
        return 1;
    }
    puts("ready");
    serve(context, map, 1);
    modbus_close(context);
    modbus_free(context);
    return 0;
}

static int tcp(int port, modbus_mapping_t *map) {
    modbus_t *context = modbus_new_tcp("127.0.0.1", port);
    int listening = context == NULL ? -1 : modbus_tcp_listen(context, 1);
    if (listening < 0) {
        fprintf(stderr, "port %d: %s\n", port, modbus_strerror(errno));
        return 1;
    }
    puts("ready");
    while (modbus_tcp_accept(context, &listening) >= 0) {
        serve(context, map, 0);
        modbus_close(context);
    }
    return 1;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    modbus_mapping_t *map = modbus_mapping_new_start_address(0, COILS, 0, 0, SERIAL, 2, 0, REGISTERS);
    if (map == NULL) return 1;
    map->tab_registers[0] = 0x1234;
    map->tab_registers[1] = 0x5678;
    if (argc == 5 && !strcmp(argv[1], "rtu")) return rtu(argv[2], atoi(argv[3]), atoi(argv[4]), map);
    if (argc == 3 && !strcmp(argv[1], "tcp")) return tcp(atoi(argv[2]), map);
    fputs("usage: libmodbus_slave rtu DEVICE BAUD UNIT | tcp PORT\n", stderr);
    return 2;
}
