/* Many gateways at a broker, as light as can be: connections, sessions, retained states, rows at QoS 1.
 *
 *   gateways HOST PORT GATEWAYS STATES RATE SECONDS [USER PASSWORD]
 *
 * Each connects as a gateway does (MQTT 5, a session of an hour, a last will with a delay, cmd/+ and ack subscribed at
 * QoS 1), publishes STATES retained states, then RATE messages of 400 bytes a second at QoS 1. One subscriber, a process
 * of its own, reads all of up/# at QoS 1. One line of JSON says how it went; times are from PUBLISH to PUBACK, in ms.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD = 400, WINDOW = 20, IN = 4096, SLOTS = 64, BUCKETS = 200000, SUBSCRIBER_IN = 1 << 20 };

struct client {
	int fd, number, connected, subscribed, states_left, under_way;
	uint16_t next_id;
	double due;
	double sent_at[SLOTS]; /* by packet number modulo SLOTS: WINDOW are under way at most */
	unsigned char *in;
	size_t have, room;
};

static const char *user, *password;
static int gateways, states;
static double rate, seconds;
static long sent, acked, refused, lost, late;
static struct shared {
	volatile long received;
	volatile int subscribed, measuring;
} *shared; /* with the subscriber */
static unsigned bucket[BUCKETS]; /* of 0.1 ms */
static int measuring;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "gateways: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned char *put_text(unsigned char *p, const char *text)
{
	size_t n = strlen(text);
	*p++ = n >> 8;
	*p++ = n & 255;
	memcpy(p, text, n);
	return p + n;
}

/* Writes a packet whose body lies in `body`; a broker that takes nothing is waited for, as a gateway would. */
static void say(struct client *c, int head, const unsigned char *body, size_t n)
{
	unsigned char packet[2048], *p = packet;
	size_t left = n;
	*p++ = head;
	do {
		*p++ = (left & 127) | (left > 127 ? 128 : 0);
		left >>= 7;
	} while (left);
	memcpy(p, body, n);
	n += p - packet;
	for (p = packet; n && c->fd >= 0;) {
		ssize_t done = send(c->fd, p, n, MSG_NOSIGNAL);
		if (done > 0) {
			p += done;
			n -= done;
		} else if (errno == EAGAIN) {
			usleep(200);
		} else {
			return; /* the reader will see it */
		}
	}
}

static void hello(struct client *c)
{
	unsigned char body[512], *p = put_text(body, "MQTT");
	char name[32], topic[64];
	snprintf(name, sizeof name, c->number < 0 ? "load-backend" : "load-%05d", c->number);
	*p++ = 5;
	unsigned char *flags = p++;
	*flags = 2; /* a clean start: each run is one of its own */
	*p++ = 0;
	*p++ = 120;
	*p++ = 5 + 3;
	memcpy(p, "\x11\x00\x00\x0e\x10\x21\x01\x00", 8); /* a session of 3600 s; 256 at once */
	p = put_text(p + 8, name);
	if (c->number >= 0) {
		*flags |= 4 | 8 | 32;
		memcpy(p, "\x05\x18\x00\x00\x00\x0f", 6); /* a delay of 15 s */
		snprintf(topic, sizeof topic, "chargerd/v1/%s/state/gateway", name);
		p = put_text(put_text(p + 6, topic), "{\"status\":\"offline\",\"cause\":\"lost\"}");
	}
	if (user) {
		*flags |= 128 | 64;
		p = put_text(put_text(p, user), password);
	}
	say(c, 0x10, body, p - body);
}

static void subscribe(struct client *c)
{
	unsigned char body[256] = {0, 1, 0}, *p = body + 3;
	char topic[64];
	if (c->number < 0) {
		p = put_text(p, "chargerd/v1/+/up/#");
		*p++ = 1;
	} else {
		snprintf(topic, sizeof topic, "chargerd/v1/load-%05d/cmd/+", c->number);
		p = put_text(p, topic);
		*p++ = 1;
		snprintf(topic, sizeof topic, "chargerd/v1/load-%05d/ack", c->number);
		p = put_text(p, topic);
		*p++ = 1;
	}
	say(c, 0x82, body, p - body);
}

static void publish(struct client *c, double at)
{
	unsigned char body[640], *p;
	char topic[64];
	int state = c->states_left > 0;
	if (state)
		snprintf(topic, sizeof topic, "chargerd/v1/load-%05d/state/port/A%02d", c->number, c->states_left--);
	else
		snprintf(topic, sizeof topic, "chargerd/v1/load-%05d/up/reading", c->number);
	p = put_text(body, topic);
	c->next_id = c->next_id % 60000 + 1;
	*p++ = c->next_id >> 8;
	*p++ = c->next_id & 255;
	*p++ = 5;
	memcpy(p, "\x02\x00\x00\x0e\x10", 5); /* expires after 3600 s */
	p += 5;
	memset(p, 'x', PAYLOAD);
	c->sent_at[c->next_id % SLOTS] = at;
	c->under_way++;
	sent += !state;
	say(c, 0x32 | state, body, p + PAYLOAD - body);
}

static void gone(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	lost++;
}

static void packet(struct client *c, int head, const unsigned char *body, size_t n)
{
	double at = now();
	switch (head >> 4) {
	case 2:
		if (n > 1 && body[1]) {
			refused++;
			return;
		}
		c->connected = 1;
		subscribe(c);
		break;
	case 9:
		c->subscribed = 1;
		shared->subscribed |= c->number < 0;
		break;
	case 4: {
		int id = body[0] << 8 | body[1];
		double took = at - c->sent_at[id % SLOTS];
		c->under_way--;
		if (measuring) {
			long slot = took * 10000;
			bucket[slot < BUCKETS ? slot : BUCKETS - 1]++;
			acked++;
		}
		break;
	}
	case 3: {
		size_t topic = body[0] << 8 | body[1];
		shared->received += shared->measuring;
		if (head & 2)
			say(c, 0x40, body + 2 + topic, 2);
		break;
	}
	case 14:
		refused++;
		break;
	}
}

static void readable(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, c->room - c->have, 0);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			gone(c);
		return;
	}
	c->have += n;
	size_t at = 0;
	for (;;) {
		size_t length = 0, head = 1;
		int shift = 0, whole = 0;
		while (at + head < c->have && head < 5) {
			unsigned char b = c->in[at + head++];
			length |= (size_t)(b & 127) << shift;
			shift += 7;
			if (!(b & 128)) {
				whole = 1;
				break;
			}
		}
		if (!whole || at + head + length > c->have)
			break;
		packet(c, c->in[at], c->in + at + head, length);
		if (c->fd < 0)
			return;
		at += head + length;
	}
	memmove(c->in, c->in + at, c->have - at);
	c->have -= at;
}

static void dial(struct client *c, const struct sockaddr_in *to, int poll)
{
	int yes = 1;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof *to))
		fail("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->room = c->number < 0 ? SUBSCRIBER_IN : IN;
	c->in = malloc(c->room);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
	hello(c);
}

static void serve(int poll, int wait_ms)
{
	struct epoll_event events[512];
	int n = epoll_wait(poll, events, 512, wait_ms);
	for (int i = 0; i < n; i++)
		readable(events[i].data.ptr);
}

static double quantile(double share)
{
	long want = acked * share, seen = 0;
	for (int i = 0; i < BUCKETS; i++)
		if ((seen += bucket[i]) >= want && seen)
			return i / 10.0;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 7) {
		fprintf(stderr, "usage: gateways HOST PORT GATEWAYS STATES RATE SECONDS [USER PASSWORD]\n");
		return 2;
	}
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	gateways = atoi(argv[3]);
	states = atoi(argv[4]);
	rate = atof(argv[5]);
	seconds = atof(argv[6]);
	if (argc > 8) {
		user = argv[7];
		password = argv[8];
	}
	struct rlimit files = {gateways + 100, gateways + 100};
	setrlimit(RLIMIT_NOFILE, &files);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t reader = fork();
	int poll = epoll_create1(0);
	struct client *all = calloc(gateways + 1, sizeof *all), *subscriber = &all[gateways];
	if (reader == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		subscriber->number = -1;
		for (dial(subscriber, &to, poll); subscriber->fd >= 0;)
			serve(poll, 100);
		return 1;
	}
	double began = now(), patience = 120;
	while (!shared->subscribed && now() - began < patience)
		usleep(10000);
	for (int i = 0; i < gateways; i++) {
		struct client *c = &all[i];
		c->number = i;
		c->states_left = states;
		dial(c, &to, poll);
		double until = now() + patience; /* a few at a time, as jitter has it */
		while (i % 50 == 49 && !all[i - 40].subscribed && now() < until)
			serve(poll, 5);
		serve(poll, 0);
	}
	for (int ready = 0; !ready && now() - began < patience + gateways * 0.05; serve(poll, 10)) {
		ready = 1;
		for (int i = 0; i < gateways; i++)
			ready &= all[i].subscribed;
	}
	double connected = now() - began;
	for (int left = 1; left && now() - began < 2 * patience + gateways * 0.05;) {
		left = 0;
		for (int i = 0; i < gateways; i++) {
			while (all[i].fd >= 0 && all[i].states_left > 0 && all[i].under_way < WINDOW)
				publish(&all[i], now());
			left |= all[i].fd >= 0 && (all[i].states_left > 0 || all[i].under_way > 0);
		}
		serve(poll, 2);
	}
	fprintf(stderr, "ready\n"); /* whoever measures the broker begins here */
	double start = now(), end = start + seconds;
	for (int i = 0; i < gateways; i++)
		all[i].due = start + (double)i / gateways / rate;
	sent = 0;
	measuring = shared->measuring = 1;
	for (int next = 0; now() < end; serve(poll, 1)) {
		/* All have the same pace, so they come round in the same order each time. */
		for (double at = now(); all[next].due <= at; next = (next + 1) % gateways) {
			struct client *c = &all[next];
			c->due += 1 / rate;
			if (c->fd >= 0 && c->under_way < WINDOW)
				publish(c, at);
			else
				late++; /* gone, or the broker has not confirmed what went before */
		}
	}
	fprintf(stderr, "done\n");
	double grace = now() + 2;
	while (now() < grace && shared->received < sent)
		serve(poll, 10);
	kill(reader, SIGKILL);
	printf("{\"gateways\": %d, \"connect_s\": %.2f, \"sent\": %ld, \"confirmed\": %ld, \"received\": %ld, \"p50_ms\": %.1f,"
	       " \"p99_ms\": %.1f, \"refused\": %ld, \"lost\": %ld, \"late\": %ld, \"seconds\": %.2f}\n",
	       gateways, connected, sent, acked, shared->received, quantile(0.5), quantile(0.99), refused, lost, late, seconds);
	return 0;
}
