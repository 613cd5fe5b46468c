/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks and who answers on a tap, frame by frame: ARP and neighbour discovery, what of them is
 * learned, and how net.ipv4.conf/DEV/arp_*, rp_filter, proxy_arp and proxy_ndp change it. t0, whose
 * frames are looked at, is 10.1.2.3; t1 is 10.5.0.1.
 */
#include "sysctl_file.h"
#include "tun.h"
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <time.h>

#define US   "10.1.2.3"
#define THEM "10.1.2.9"

static const uint8_t their_mac[6] = {2, 0, 0, 0, 0, 9}, other_mac[6] = {2, 0, 0, 0, 0, 7},
		     all[6] = {255, 255, 255, 255, 255, 255};
static int t0, t1;

static void
set_mac(const char *name, uint8_t last)
{
	struct ifreq r = {.ifr_hwaddr = {ARPHRD_ETHER, {2, 0, 0, 0, 0, (char)last}}};

	ask_link(name, SIOCSIFHWADDR, &r);
}

static void
begin(void)
{
	own_namespace();
	link_up("lo", true);
	t0 = make_tun("t0", IFF_TAP | IFF_NO_PI);
	t1 = make_tun("t1", IFF_TAP | IFF_NO_PI);
	set_mac("t0", 1);
	set_mac("t1", 2);
	set_address("t0", US, "255.255.255.0");
	set_address("t1", "10.5.0.1", "255.255.255.0");
	link_up("t0", true);
	link_up("t1", true);
}

static void
set_conf(const char *family, const char *dev, const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof path, "net/%s/conf/%s/%s", family, dev, name);
	if (sysctl_put(path, value) < 0)
		printf("%s: %s\n", path, strerror(errno));
}

static void
set(const char *dev, const char *name, const char *value)
{
	set_conf("ipv4", dev, name, value);
}

static void
set6(const char *dev, const char *name, const char *value)
{
	set_conf("ipv6", dev, name, value);
}

/* --- frames --- */

static void
put_arp(uint8_t *f, const uint8_t *to, const uint8_t *from, int op, const char *sip,
	const uint8_t *tha, const char *tip)
{
	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	put16(f + 12, ETH_P_ARP);
	memcpy(f + 14, "\0\1\10\0\6\4", 6);
	put16(f + 20, (unsigned)op);
	memcpy(f + 22, from, 6);
	inet_pton(AF_INET, sip, f + 28);
	memcpy(f + 32, tha, 6);
	inet_pton(AF_INET, tip, f + 38);
}

static void
bring(const uint8_t *to, const uint8_t *from, int op, const char *sip, const char *tip)
{
	uint8_t f[60] = {0};

	put_arp(f, to, from, op, sip, op == ARPOP_REPLY ? to : (const uint8_t[6]){0}, tip);
	if (write(t0, f, sizeof f) != sizeof f)
		printf("write: %s\n", strerror(errno));
}

static void
show_mac(const uint8_t *m)
{
	printf("%02x%02x%02x%02x%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* The next ARP frame of t0, and no other. */
static void
show_next(int ms)
{
	uint8_t f[2048];
	char sip[16], tip[16];
	ssize_t n;

	do
		n = next_packet(t0, f, sizeof f, ms);
	while (n && get16(f + 12) != ETH_P_ARP);
	if (!n) {
		printf("nothing\n");
		return;
	}
	inet_ntop(AF_INET, f + 28, sip, sizeof sip);
	inet_ntop(AF_INET, f + 38, tip, sizeof tip);
	printf("%s to ", get16(f + 20) == ARPOP_REQUEST ? "asks" : "says");
	show_mac(f);
	printf(": %s is at ", sip);
	show_mac(f + 22);
	printf(", for %s\n", tip);
}

static void
ask_for(const char *sip, const char *tip, int ms)
{
	printf("%s asks for %s: ", sip, tip);
	bring(all, their_mac, ARPOP_REQUEST, sip, tip);
	show_next(ms);
}

static void
show_known(const char *ip)
{
	char line[256], addr[32], type[16], flags[16], mac[32];
	FILE *f = fopen("/proc/net/arp", "r");
	bool found = false;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%31s %15s %15s %31s", addr, type, flags, mac) == 4 &&
			!strcmp(addr, ip)) {
			printf("%s is at %s\n", ip, mac);
			found = true;
		}
	if (f)
		fclose(f);
	if (!found)
		printf("%s is not known\n", ip);
}

/* --- what is answered --- */

static void
ignore(void)
{
	static const char *const how[] = {"0", "1", "2", "3", "4", "8"};

	begin();
	add_address("lo", "10.9.9.9", 32, RT_SCOPE_HOST);
	for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
		printf("arp_ignore %s\n", how[i]);
		set("t0", "arp_ignore", how[i]);
		ask_for(THEM, US, 100);
		ask_for(THEM, "10.5.0.1", 100);
		ask_for(THEM, "10.9.9.9", 100);
		ask_for("10.7.7.7", US, 100);
		ask_for("0.0.0.0", US, 100);
		ask_for("0.0.0.0", "10.5.0.1", 100);
		ask_for(THEM, "10.1.2.4", 100);
	}
	show_known("10.7.7.7");
	/* the larger of both counts */
	set("t0", "arp_ignore", "0");
	set("all", "arp_ignore", "1");
	ask_for(THEM, "10.5.0.1", 100);
}

/* Who is refused is not learned. */
static void
ignored(void)
{
	begin();
	set("all", "arp_ignore", "8");
	ask_for(THEM, US, 100);
	show_known(THEM);
}

static void
filter(void)
{
	begin();
	ask_for("10.5.0.77", US, 100);
	set("t0", "arp_filter", "1");
	ask_for(THEM, US, 100);
	ask_for("10.5.0.77", US, 100);
	ask_for("10.8.0.1", US, 100);
	set("t0", "arp_filter", "0");
	set("all", "arp_filter", "1");
	ask_for("10.5.0.77", "10.5.0.1", 100);
}

/* What cannot come from there is not believed. */
static void
reverse_path(void)
{
	begin();
	set("t0", "rp_filter", "1");
	ask_for(THEM, US, 100);
	ask_for("10.5.0.77", US, 100);
	show_known("10.5.0.77");
	ask_for("10.8.0.1", US, 100);
	set("all", "rp_filter", "2");
	ask_for("10.5.0.77", US, 100);
	show_known("10.5.0.77");
	ask_for("10.8.0.1", US, 100);
}

/* --- what is asked --- */

static void
send_from(const char *from, const char *to)
{
	struct sockaddr_in a = {.sin_family = AF_INET}, b = {.sin_family = AF_INET, .sin_port = 9};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, from, &a.sin_addr);
	inet_pton(AF_INET, to, &b.sin_addr);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		sendto(s, "x", 1, 0, (struct sockaddr *)&b, sizeof b) < 0)
		printf("%s: %s\n", from, strerror(errno));
	close(s);
}

static void
announce(void)
{
	static const char *const how[] = {"0", "1", "2", "3"};
	static const char *const from[] = {"0.0.0.0", "10.5.0.1", "10.9.9.9", "10.1.2.77"};
	char to[16];

	begin();
	add_address("lo", "10.9.9.9", 32, RT_SCOPE_HOST);
	add_address("t0", "10.1.2.77", 24, RT_SCOPE_UNIVERSE);
	add_address("t0", "10.6.0.1", 16, RT_SCOPE_UNIVERSE);
	for (int i = 0; i < 4; i++) {
		set(i == 3 ? "all" : "t0", "arp_announce", how[i]);
		for (int k = 0; k < 4; k++) {
			snprintf(to, sizeof to, "10.1.2.%d", 100 + 10 * i + k);
			printf("arp_announce %s, from %s: ", how[i], from[k]);
			send_from(from[k], to);
			show_next(500);
		}
	}
	send_from("0.0.0.0", "10.6.1.1");
	show_next(500);
}

/* Of who was not asked. */
static void
accept_any(void)
{
	static const char *const how[] = {"0", "1", "2"};
	char ip[4][16];

	begin();
	for (int i = 0; i < 3; i++) {
		set("t0", "arp_accept", how[i]);
		for (int k = 0; k < 3; k++)
			snprintf(ip[k], sizeof *ip, "10.1.2.%d", 100 + 10 * i + k);
		snprintf(ip[3], sizeof *ip, "10.8.2.%d", i + 1);
		printf("arp_accept %s\n", how[i]);
		bring(all, their_mac, ARPOP_REQUEST, ip[0], ip[0]);
		bring((const uint8_t[6]){2, 0, 0, 0, 0, 1}, their_mac, ARPOP_REPLY, ip[1], US);
		bring(all, their_mac, ARPOP_REQUEST, ip[2], "10.1.2.4");
		bring(all, their_mac, ARPOP_REQUEST, ip[3], ip[3]);
		show_next(100);
		for (int k = 0; k < 4; k++)
			show_known(ip[k]);
	}
	/* one that is known moves at once if it says so to all */
	bring(all, other_mac, ARPOP_REQUEST, ip[0], ip[0]);
	bring(all, other_mac, ARPOP_REQUEST, ip[1], "10.1.2.4");
	show_next(100);
	show_known(ip[0]);
	show_known(ip[1]);
}

static void
notify(void)
{
	begin();
	add_address("t0", "10.6.0.1", 16, RT_SCOPE_UNIVERSE);
	link_up("t0", false);
	link_up("t0", true);
	show_next(100);
	set("t0", "arp_notify", "1");
	link_up("t0", false);
	link_up("t0", true);
	show_next(100);
	show_next(100);
	show_next(100);
	set_mac("t0", 5);
	show_next(100);
	show_next(100);
	show_next(100);
	link_up("t0", false);
	set_mac("t0", 6);
	show_next(100);
}

/* --- in the name of others --- */

/* Linux answers them later, by chance, or else; in moat it is at once. */
static void
no_proxy_delay(const char *family)
{
	char path[64];

	snprintf(path, sizeof path, "net/%s/neigh/t0/proxy_delay", family);
	(void)sysctl_put(path, "0");
}

static void
proxy(void)
{
	begin();
	no_proxy_delay("ipv4");
	set("t0", "proxy_arp", "1");
	ask_for(THEM, "10.5.0.50", 100);
	show_known(THEM);
	set("t0", "forwarding", "1");
	ask_for(THEM, "10.5.0.50", 100);
	show_known(THEM);
	ask_for(THEM, "10.1.2.60", 100);
	ask_for(THEM, "10.8.0.1", 100);
	ask_for("0.0.0.0", "10.5.0.50", 100);
	set("t0", "medium_id", "3");
	set("t1", "medium_id", "3");
	ask_for(THEM, "10.5.0.51", 100);
	set("t1", "medium_id", "4");
	ask_for(THEM, "10.5.0.51", 100);
	set("t0", "medium_id", "-1");
	ask_for(THEM, "10.5.0.51", 100);
	set("t0", "medium_id", "0");
	set("t0", "proxy_arp", "0");
	ask_for(THEM, "10.5.0.50", 100);
	set("all", "proxy_arp", "1");
	ask_for(THEM, "10.5.0.50", 100);
	set("all", "proxy_arp", "0");
	add_neighbour("t0", "10.5.0.60", NTF_PROXY, 0, NULL);
	add_neighbour("t0", "10.1.2.61", NTF_PROXY, 0, NULL);
	ask_for(THEM, "10.5.0.60", 100);
	ask_for(THEM, "10.5.0.61", 100);
	ask_for(THEM, "10.1.2.61", 100);
}

/* --- IPv6 --- */

/* Is an address not ours yet? (IFA_F_TENTATIVE) */
static bool
is_tentative(void)
{
	unsigned flags;
	bool found = false;
	FILE *f = fopen("/proc/net/if_inet6", "r");

	while (f && fscanf(f, "%*s %*s %*s %*s %x %*s", &flags) == 1)
		found |= flags & IFA_F_TENTATIVE;
	if (f)
		fclose(f);
	return found;
}

static void
begin6(void)
{
	static const char *const devs[] = {"t0", "t1"};

	own_namespace();
	link_up("lo", true);
	t0 = make_tun("t0", IFF_TAP | IFF_NO_PI);
	t1 = make_tun("t1", IFF_TAP | IFF_NO_PI);
	for (int i = 0; i < 2; i++) {
		set_mac(devs[i], (uint8_t)(i + 1));
		set6(devs[i], "accept_dad", "0");
		set6(devs[i], "dad_transmits", "0");
		set6(devs[i], "disable_ipv6", "0");
		link_up(devs[i], true);
	}
	add_address("t0", "fd00::1", 64, RT_SCOPE_UNIVERSE);
	add_address("t1", "fd05::1", 64, RT_SCOPE_UNIVERSE);
	while (is_tentative())
		usleep(10000);
}

/* The next solicitation or advertisement of t0. */
static void
show_next6(int type, int ms)
{
	uint8_t f[2048];
	char from[64], to[64], target[64];
	ssize_t n;

	do
		n = next_packet(t0, f, sizeof f, ms);
	while (n && (n < 78 || f[20] != 58 || f[54] != type));
	if (!n) {
		printf("nothing\n");
		return;
	}
	inet_ntop(AF_INET6, f + 22, from, sizeof from);
	inet_ntop(AF_INET6, f + 38, to, sizeof to);
	inet_ntop(AF_INET6, f + 62, target, sizeof target);
	show_mac(f);
	printf(" %s -> %s: type %d flags %02x %s", from, to, f[54], f[58], target);
	for (ssize_t i = 78; i + 8 <= n; i += 8) {
		printf(" option %d ", f[i]);
		show_mac(f + i + 2);
	}
	printf("\n");
}

/* to: NULL: its group; lladdr: it says where it is. */
static void
ask6(const char *from, const char *to, bool lladdr, const char *target, int ms)
{
	uint8_t f[86] = {2, 0, 0, 0, 0, 1}, *ip = f + 14, *icmp = f + 54, len = lladdr ? 32 : 24;
	uint32_t sum = 58u + len;

	inet_pton(AF_INET6, from, ip + 8);
	inet_pton(AF_INET6, target, icmp + 8);
	if (to) {
		inet_pton(AF_INET6, to, ip + 24);
	} else {
		memcpy(ip + 24, "\xff\2\0\0\0\0\0\0\0\0\0\1\xff", 13);
		memcpy(ip + 37, icmp + 21, 3);
		f[0] = f[1] = 0x33;
		memcpy(f + 2, ip + 36, 4);
	}
	memcpy(f + 6, their_mac, 6);
	put16(f + 12, ETH_P_IPV6);
	ip[0] = 0x60;
	ip[5] = len;
	ip[6] = 58;
	ip[7] = 255;
	icmp[0] = 135;
	if (lladdr) {
		icmp[24] = icmp[25] = 1;
		memcpy(icmp + 26, their_mac, 6);
	}
	for (int i = 8; i < 40; i += 2)
		sum += get16(ip + i);
	put16(icmp + 2, ip_sum(icmp, len, sum));
	printf("%s asks %s%s for %s: ", from, to ? to : "all", lladdr ? "" : " from nowhere",
		target);
	if (write(t0, f, 54u + len) != 54 + len)
		printf("write: %s\n", strerror(errno));
	show_next6(136, ms);
}

static void
ask_for6(const char *from, const char *target, int ms)
{
	ask6(from, NULL, true, target, ms);
}

static void
send_from6(const char *from, const char *to)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6},
			    b = {.sin6_family = AF_INET6, .sin6_port = 9};
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	inet_pton(AF_INET6, from, &a.sin6_addr);
	inet_pton(AF_INET6, to, &b.sin6_addr);
	printf("from %s to %s: ", from, to);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		sendto(s, "x", 1, 0, (struct sockaddr *)&b, sizeof b) < 0)
		printf("%s: %s\n", from, strerror(errno));
	close(s);
	show_next6(135, 500);
}

static void
discovery(void)
{
	begin6();
	no_proxy_delay("ipv6");
	send_from6("::", "fd00::a1");
	send_from6("fd00::1", "fd00::a2");
	send_from6("fd05::1", "fd00::a3");
	ask_for6("fd00::9", "fd00::1", 100);
	ask_for6("fd00::9", "fd05::1", 100);
	ask_for6("fd00::1", "fd00::1", 100);
	ask6("fd00::9", "fd00::1", true, "fd00::1", 100);
	ask6("fd00::9", "fd00::1", false, "fd00::1", 100);
	ask6("fd00::9", NULL, false, "fd00::1", 100);
	ask6("fd00::8", NULL, false, "fd00::1", 100);
	ask6("::", NULL, false, "fd00::1", 100);
	add_neighbour("t0", "fd05::50", NTF_PROXY, 0, NULL);
	ask_for6("fd00::9", "fd05::50", 100);
	set6("t0", "proxy_ndp", "1");
	ask_for6("fd00::9", "fd05::50", 100);
	set6("t0", "forwarding", "1");
	ask_for6("fd00::9", "fd00::1", 100);
	ask_for6("fd00::9", "fd05::50", 100);
	ask_for6("fd00::9", "fd05::51", 100);
	set6("t0", "proxy_ndp", "0");
	ask_for6("fd00::9", "fd05::50", 100);
	set6("all", "proxy_ndp", "1");
	ask_for6("fd00::9", "fd05::50", 100);
}

/* --- when an address is made --- */

/* How many t0 has: link-local ones, others. */
static void
count6(int *local, int *global)
{
	char addr[40], dev[16];
	FILE *f = fopen("/proc/net/if_inet6", "r");

	*local = *global = 0;
	while (f && fscanf(f, "%39s %*s %*s %*s %*s %15s", addr, dev) == 2)
		if (!strcmp(dev, "t0"))
			++*(strncmp(addr, "fe80", 4) ? global : local);
	if (f)
		fclose(f);
}

/* Linux looks at it once a second. */
static void
set_carrier(int on)
{
	int local, global, tries = 0;

	if (ioctl(t0, TUNSETCARRIER, &on) < 0)
		printf("carrier: %s\n", strerror(errno));
	do {
		usleep(on ? 20000 : 1200000);
		count6(&local, &global);
	} while (on && !local && tries++ < 200);
	printf("carrier %d: %d local, %d global\n", on, local, global);
}

static void
carrier(void)
{
	int local, global;

	own_namespace();
	t0 = make_tun("t0", IFF_TAP | IFF_NO_PI);
	set_mac("t0", 1);
	set6("t0", "accept_dad", "0");
	set6("t0", "dad_transmits", "0");
	set6("t0", "disable_ipv6", "0");
	set_carrier(0);
	link_up("t0", true);
	add_address("t0", "fd00::1", 64, RT_SCOPE_UNIVERSE);
	set_carrier(0);
	set_carrier(1);
	set_carrier(0);
	link_up("t0", false);
	count6(&local, &global);
	printf("down: %d local, %d global\n", local, global);
}

int
main(void)
{
	ignore();
	ignored();
	filter();
	reverse_path();
	announce();
	accept_any();
	notify();
	proxy();
	discovery();
	carrier();
	return 0;
}
