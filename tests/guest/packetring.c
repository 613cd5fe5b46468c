/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of an AF_PACKET socket, as libpcap uses it. */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FRAMES 8
#define FRAME  2048

static int out;

static void
send_udp(const char *text, size_t n)
{
	struct sockaddr_in a = {AF_INET, htons(20001), {htonl(INADDR_LOOPBACK)}, {0}};

	sendto(out, text, n, 0, (void *)&a, sizeof a);
}

static int
set(int s, int opt, int v)
{
	return setsockopt(s, SOL_PACKET, opt, &v, sizeof v);
}

static int
get(int s, int opt, int v)
{
	socklen_t len = sizeof v;

	return getsockopt(s, SOL_PACKET, opt, &v, &len) ? -1 : v;
}

static int
ring(int s, unsigned block_size, unsigned blocks, unsigned frame_size, unsigned frames)
{
	struct tpacket_req r = {block_size, blocks, frame_size, frames};

	return setsockopt(s, SOL_PACKET, PACKET_RX_RING, &r, sizeof r);
}

static int
ready(int s)
{
	struct pollfd p = {s, POLLIN, 0};

	return poll(&p, 1, 0);
}

static void
statistics(int s)
{
	struct tpacket_stats st;
	socklen_t len = sizeof st;

	getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len);
	printf("  %u packets, %u drops\n", st.tp_packets, st.tp_drops);
}

static unsigned char *
frame(unsigned char *map, int i)
{
	return map + (i / 2) * 4096 + (i % 2) * FRAME;
}

/* What is in it, and give it back. */
static void
show(int version, unsigned char *f, size_t head)
{
	struct sockaddr_ll *from = (void *)(f + 32);
	unsigned long status;
	unsigned len, snap, mac, net;

	if (version == TPACKET_V1) {
		struct tpacket_hdr *h = (void *)f;

		status = h->tp_status;
		len = h->tp_len, snap = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
		if (status)
			TRUE(h->tp_sec >= time(NULL) - 100 && h->tp_usec < 1000000);
	} else {
		struct tpacket2_hdr *h = (void *)f;

		status = h->tp_status;
		len = h->tp_len, snap = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
		if (status)
			TRUE(h->tp_sec >= time(NULL) - 100 && h->tp_nsec < 1000000000);
	}
	printf("  status %lx:", status & (TP_STATUS_USER | TP_STATUS_LOSING));
	if (status) {
		printf(" %u of %u at %u and %u, family %d protocol %x if %d hatype %d type %d "
		       "halen %d",
			snap, len, mac, net, from->sll_family, ntohs(from->sll_protocol),
			from->sll_ifindex, from->sll_hatype, from->sll_pkttype, from->sll_halen);
		if (snap > head + 28)
			printf(" \"%.*s\"", (int)(snap - head - 28 < 9 ? snap - head - 28 : 9),
				(char *)f + mac + head + 28);
	}
	printf("\n");
	if (version == TPACKET_V1)
		((struct tpacket_hdr *)f)->tp_status = 0;
	else
		((struct tpacket2_hdr *)f)->tp_status = 0;
}

static void
options(void)
{
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	char c = 1;

	printf("- options\n");
	SHOW(get(s, PACKET_VERSION, 7));
	SHOW(get(s, PACKET_HDRLEN, TPACKET_V1));
	SHOW(get(s, PACKET_HDRLEN, TPACKET_V2));
	SHOW(get(s, PACKET_HDRLEN, 77));
	SHOW(set(s, PACKET_VERSION, 77));
	SHOW(set(s, PACKET_VERSION, TPACKET_V2));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_VERSION, &c, 1));
	SHOW(get(s, PACKET_VERSION, 0));
	SHOW(set(s, PACKET_RESERVE, -1));
	SHOW(set(s, PACKET_RESERVE, 4));
	SHOW(get(s, PACKET_RESERVE, 0));
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &c, 1));
	SHOW(ring(s, 0, 1, FRAME, 1));
	SHOW(ring(s, 1000, 1, 64, 1));
	SHOW(ring(s, 4096, 1, 48, 85));
	SHOW(ring(s, 4096, 1, 52, 78));
	SHOW(ring(s, 4096, 1, 100, 40));
	SHOW(ring(s, 4096, 1, 8192, 1));
	SHOW(ring(s, 4096, 4, FRAME, 7));
	SHOW(ring(s, 4096, 4, FRAME, 9));
	SHOW(ring(s, 4096, 0, FRAME, 9));
	SHOW(ring(s, 0xfffff000, 1, FRAME, 1));
	SHOW(ring(s, 4096, 0xffffffff, FRAME, 2));
	SHOW(ring(s, 0, 0, 0, 0));
	SHOW(ring(s, 4096, 1, 64, 64));
	SHOW(ring(s, 4096, 1, 64, 64));
	SHOW(set(s, PACKET_VERSION, TPACKET_V1));
	SHOW(set(s, PACKET_RESERVE, 0));
	SHOW(ring(s, 0, 0, 0, 0));
	SHOW(ring(s, 0, 0, 0, 0));
	SHOW(set(s, PACKET_RESERVE, 0));
	close(s);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	close(s);
}

static void
traffic(int type, int version, int reserve)
{
	int s = socket(AF_PACKET, type, 0), child;
	size_t head = type == SOCK_RAW ? 14 : 0;
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1};
	static char large[5000];
	unsigned char *map;

	printf("- traffic, type %d, version %d, reserve %d\n", type, version, reserve);
	memset(large, 'x', sizeof large);
	SHOW(set(s, PACKET_VERSION, version));
	SHOW(set(s, PACKET_RESERVE, reserve));
	SHOW(bind(s, (void *)&a, sizeof a));
	send_udp("before", 6);
	SHOW(ready(s));
	SHOW(ring(s, 4096, FRAMES / 2, FRAME, FRAMES));
	SHOW(ready(s));
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 4096) == MAP_FAILED ? -1 : 0);
	map = mmap(NULL, FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	TRUE(map != MAP_FAILED);
	statistics(s);
	SHOW(ring(s, 0, 0, 0, 0));
	send_udp("first", 5);
	SHOW(ready(s));
	SHOW(recv(s, large, sizeof large, MSG_DONTWAIT));
	for (int i = 0; i < 3; i++)
		show(version, frame(map, i), head);
	SHOW(ready(s));
	send_udp(large, sizeof large);
	show(version, frame(map, 2), head);
	show(version, frame(map, 3), head);
	/* one more than there is room for, and none of the next */
	for (int i = 0; i < FRAMES / 2 + 1; i++)
		send_udp("number 123" + i, 9 - i);
	statistics(s);
	for (int i = 0; i < FRAMES; i++)
		show(version, frame(map, (i + 4) % FRAMES), head);
	SHOW(ready(s));
	send_udp("again", 5);
	statistics(s);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		show(version, frame(map, 4), head);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	show(version, frame(map, 4), head);
	show(version, frame(map, 5), head);
	SHOW(munmap(map, FRAMES * FRAME));
	SHOW(ring(s, 0, 0, 0, 0));
	send_udp("queue", 5);
	SHOW(recv(s, large, sizeof large, MSG_DONTWAIT));
	SHOW(ring(s, 4096, 1, FRAME, 2));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	close(s); /* what is mapped stays */
	show(version, frame(map, 0), head);
	munmap(map, 4096);
}

int
main(void)
{
	struct sockaddr_in a = {AF_INET, htons(20001), {htonl(INADDR_LOOPBACK)}, {0}};

	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	own_network();
	out = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(bind(socket(AF_INET, SOCK_DGRAM, 0), (void *)&a, sizeof a));
	options();
	traffic(SOCK_RAW, TPACKET_V2, 4);
	traffic(SOCK_RAW, TPACKET_V1, 0);
	traffic(SOCK_DGRAM, TPACKET_V2, 0);
	traffic(SOCK_DGRAM, TPACKET_V1, 13);
	return 0;
}
