/*
 * The floor of the bench: what remains of a chain if a plugin costs nothing but its process and the kernel's work. Installed as `calico`, `bandwidth` and
 * `portmap`, it does the same to the kernel as these plugins for one IPv4 pod, with fixed messages: no configuration, no IPAM, no record, no comparison,
 * no roll-back. Compiled with EMPTY it does not even that: it reads its input and answers.
 *
 *     calico      ADD: veth pair, sysctls, addresses, routes, neighbour      DEL: deletes the host interface
 *     bandwidth   ADD: ifb, three qdiscs, filter                             DEL: deletes the ifb
 *     portmap     ADD: an element of a map of nf_tables                      DEL: deletes it
 *
 * CHECK reads back what ADD made. The pod's number is the end of its container ID; the chain asks for limits or a host port as in `scenarios.ts`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int number;
static char host[16], ifb[16], request[1 << 16];

static void fail(const char *what)
{
	printf("{\"code\":999,\"msg\":\"floor: %s: %s\"}\n", what, strerror(errno));
	exit(1);
}

#ifndef EMPTY

/* A datagram under construction. */
static union {
	struct nlmsghdr header;
	char bytes[8192];
} out;
static size_t used, message;
static unsigned sequence;

static void *put(const void *bytes, size_t length)
{
	void *at = memset(out.bytes + used, 0, NLMSG_ALIGN(length));
	memcpy(at, bytes, length);
	used += NLMSG_ALIGN(length);
	return at;
}

static struct nlmsghdr *begin(int type, int flags, const void *header, size_t length)
{
	message = used;
	struct nlmsghdr *started = put(&(struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = ++sequence},
				       sizeof *started);
	put(header, length);
	return started;
}

static void finish(void)
{
	((struct nlmsghdr *)(out.bytes + message))->nlmsg_len = used - message;
}

static void attribute(int type, const void *bytes, size_t length)
{
	put(&(struct nlattr){.nla_type = type, .nla_len = NLA_HDRLEN + length}, NLA_HDRLEN);
	if (length > 0)
		put(bytes, length);
}

static void number32(int type, uint32_t value)
{
	attribute(type, &value, 4);
}

static void text(int type, const char *value)
{
	attribute(type, value, strlen(value) + 1);
}

static size_t nest(int type)
{
	size_t at = used;
	put(&(struct nlattr){.nla_type = type}, NLA_HDRLEN);
	return at;
}

static void end(size_t nested)
{
	((struct nlattr *)(out.bytes + nested))->nla_len = used - nested;
}

static int open_netlink(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fail("socket");
	return fd;
}

/* Sends the datagram and reads the answers until the acknowledgement of the last message, or the end of a dump. */
static void exchange(int fd, const char *what, int tolerated)
{
	static char in[1 << 16];
	if (send(fd, out.bytes, used, 0) < 0)
		fail(what);
	used = 0;
	for (;;) {
		ssize_t got = recv(fd, in, sizeof in, 0);
		if (got < 0)
			fail(what);
		for (struct nlmsghdr *one = (void *)in; NLMSG_OK(one, got); one = NLMSG_NEXT(one, got)) {
			if (one->nlmsg_type == NLMSG_DONE)
				return;
			if (one->nlmsg_type != NLMSG_ERROR)
				continue;
			struct nlmsgerr *error = NLMSG_DATA(one);
			if (error->error != 0 && error->error != -tolerated) {
				errno = -error->error;
				fail(what);
			}
			if (error->error != 0 || one->nlmsg_seq == sequence)
				return;
		}
	}
}

static int index_of(const char *name)
{
	struct ifreq { char name[16]; int index; char rest[20]; } wanted = {.index = 0};
	strcpy(wanted.name, name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, 0x8933 /* SIOCGIFINDEX */, &wanted) != 0)
		fail(name);
	close(fd);
	return wanted.index;
}

static void sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, 1) != 1)
		fail(path);
	close(fd);
}

static void host_sysctl(const char *key)
{
	char path[128];
	snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/%s", host, key);
	sysctl(path, "1");
}

static uint32_t pod_address(void)
{
	return htonl(0x0ad10002 + number); /* 10.209.0.2 + number */
}

static void up(int index)
{
	begin(RTM_SETLINK, 0, &(struct ifinfomsg){.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}, sizeof(struct ifinfomsg));
	finish();
}

static void route(int index, uint32_t destination, int length, uint32_t gateway, int flags)
{
	struct rtmsg header = {.rtm_family = AF_INET, .rtm_dst_len = length, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
			       .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
	begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | flags, &header, sizeof header);
	if (length > 0)
		number32(RTA_DST, destination);
	if (gateway)
		number32(RTA_GATEWAY, gateway);
	number32(RTA_OIF, index);
	finish();
}

static void enter(int netns)
{
	if (setns(netns, CLONE_NEWNET))
		fail("setns");
}

static void add_interface(int netns, int own)
{
	static const unsigned char mac[6] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	const uint32_t gateway = htonl(0xa9fe0101); /* 169.254.1.1 */
	int fd = open_netlink(NETLINK_ROUTE);
	const struct ifinfomsg any = {0};
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &any, sizeof any);
	text(IFLA_IFNAME, host);
	attribute(IFLA_ADDRESS, mac, 6);
	size_t info = nest(IFLA_LINKINFO);
	text(IFLA_INFO_KIND, "veth");
	size_t data = nest(IFLA_INFO_DATA), peer = nest(VETH_INFO_PEER);
	put(&any, sizeof any);
	text(IFLA_IFNAME, "eth0");
	number32(IFLA_NET_NS_FD, netns);
	end(peer), end(data), end(info);
	finish();
	exchange(fd, "create the pair", 0);
	int index = index_of(host);
	begin(RTM_SETLINK, NLM_F_ACK, &(struct ifinfomsg){.ifi_index = index}, sizeof any);
	attribute(IFLA_IFALIAS, "floor", 5);
	finish();
	exchange(fd, "write the alias", 0);
	host_sysctl("proxy_arp"), host_sysctl("forwarding"), host_sysctl("route_localnet");

	enter(netns);
	int inside = open_netlink(NETLINK_ROUTE), pod = index_of("eth0");
	enter(own);
	up(pod);
	begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &(struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = pod},
	      sizeof(struct ifaddrmsg));
	number32(IFA_LOCAL, pod_address());
	finish();
	begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &(struct ndmsg){.ndm_family = AF_INET, .ndm_ifindex = pod, .ndm_state = NUD_PERMANENT},
	      sizeof(struct ndmsg));
	number32(NDA_DST, gateway);
	attribute(NDA_LLADDR, mac, 6);
	finish();
	route(pod, gateway, 32, 0, 0);
	route(pod, 0, 0, gateway, NLM_F_ACK);
	exchange(inside, "configure eth0", 0);
	up(index);
	route(index, pod_address(), 32, 0, NLM_F_ACK);
	exchange(fd, "route to the pod", 0);
}

static void delete_link(const char *name)
{
	int fd = open_netlink(NETLINK_ROUTE);
	begin(RTM_DELLINK, NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
	text(IFLA_IFNAME, name);
	finish();
	exchange(fd, "delete a link", ENODEV);
}

static void dump(int fd, int type, size_t header)
{
	static const char zeros[32];
	begin(type, NLM_F_DUMP, zeros, header);
	finish();
	exchange(fd, "dump", 0);
}

static void check_interface(int netns, int own)
{
	enter(netns);
	int inside = open_netlink(NETLINK_ROUTE);
	enter(own);
	int fds[] = {inside, open_netlink(NETLINK_ROUTE)};
	for (int i = 0; i < 2; i++) {
		dump(fds[i], RTM_GETLINK, sizeof(struct ifinfomsg));
		dump(fds[i], RTM_GETADDR, sizeof(struct ifaddrmsg));
		dump(fds[i], RTM_GETROUTE, sizeof(struct rtmsg));
	}
}

static void bucket(int index)
{
	/* 100 Mbit/s, a burst of 1 MB, as in scenarios.ts. */
	const struct tcmsg header = {.tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x10000};
	struct tc_tbf_qopt shape = {.rate = {.rate = 12500000, .linklayer = 1}, .limit = 1312500, .buffer = 1250000};
	begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &header, sizeof header);
	text(TCA_KIND, "tbf");
	size_t options = nest(TCA_OPTIONS);
	attribute(TCA_TBF_PARMS, &shape, sizeof shape);
	number32(TCA_TBF_BURST, 1000000);
	end(options);
	finish();
}

static void add_limits(void)
{
	int fd = open_netlink(NETLINK_ROUTE), index = index_of(host);
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
	text(IFLA_IFNAME, ifb);
	size_t info = nest(IFLA_LINKINFO);
	text(IFLA_INFO_KIND, "ifb");
	end(info);
	finish();
	exchange(fd, "create the ifb", 0);
	int target = index_of(ifb);
	up(target);
	bucket(index);
	exchange(fd, "limit ingress", 0);
	bucket(target);
	exchange(fd, "limit egress", 0);
	const struct tcmsg ingress = {.tcm_ifindex = index, .tcm_parent = TC_H_INGRESS, .tcm_handle = 0xffff0000};
	begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &ingress, sizeof ingress);
	text(TCA_KIND, "ingress");
	finish();
	exchange(fd, "add the ingress qdisc", 0);
	const struct tcmsg filter = {.tcm_ifindex = index, .tcm_parent = 0xffff0000, .tcm_info = TC_H_MAKE(1 << 16, htons(0x0003))};
	const struct { struct tc_u32_sel selector; struct tc_u32_key key; } match = {.selector = {.flags = TC_U32_TERMINAL, .nkeys = 1}};
	const struct tc_mirred redirect = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = target};
	begin(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &filter, sizeof filter);
	text(TCA_KIND, "u32");
	size_t options = nest(TCA_OPTIONS);
	number32(TCA_U32_CLASSID, 0x10001);
	attribute(TCA_U32_SEL, &match, sizeof match);
	size_t actions = nest(TCA_U32_ACT), first = nest(1);
	text(TCA_ACT_KIND, "mirred");
	size_t parameters = nest(TCA_ACT_OPTIONS);
	attribute(TCA_MIRRED_PARMS, &redirect, sizeof redirect);
	end(parameters), end(first), end(actions), end(options);
	finish();
	exchange(fd, "redirect to the ifb", 0);
}

static const struct nfgenmsg ip = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};

static void nft(int type, int flags)
{
	begin(NFNL_SUBSYS_NFTABLES << 8 | type, flags, &ip, sizeof ip);
	text(NFTA_TABLE_NAME, "floor"); /* the same number for tables, sets and elements */
}

static void batch(int type)
{
	begin(type, 0, &(struct nfgenmsg){.res_id = htons(NFNL_SUBSYS_NFTABLES)}, sizeof ip);
	finish();
}

/* Adds or deletes the element of the pod's host port; the table and its map are created if missing. */
static void map_port(int is_delete)
{
	int fd = open_netlink(NETLINK_NETFILTER);
	batch(NFNL_MSG_BATCH_BEGIN);
	if (!is_delete) {
		nft(NFT_MSG_NEWTABLE, NLM_F_CREATE);
		finish();
		nft(NFT_MSG_NEWSET, NLM_F_CREATE);
		text(NFTA_SET_NAME, "ports");
		number32(NFTA_SET_FLAGS, htonl(NFT_SET_MAP));
		number32(NFTA_SET_KEY_TYPE, htonl(13)); /* inet_service */
		number32(NFTA_SET_KEY_LEN, htonl(2));
		number32(NFTA_SET_DATA_TYPE, htonl(7)); /* ipv4_addr */
		number32(NFTA_SET_DATA_LEN, htonl(4));
		number32(NFTA_SET_ID, htonl(1));
		finish();
	}
	nft(is_delete ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_ACK);
	text(NFTA_SET_ELEM_LIST_SET, "ports");
	size_t elements = nest(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED), element = nest(1 | NLA_F_NESTED);
	size_t key = nest(NFTA_SET_ELEM_KEY | NLA_F_NESTED);
	attribute(NFTA_DATA_VALUE, &(uint16_t){htons(20000 + number)}, 2);
	end(key);
	if (!is_delete) {
		size_t data = nest(NFTA_SET_ELEM_DATA | NLA_F_NESTED);
		number32(NFTA_DATA_VALUE, pod_address());
		end(data);
	}
	end(element), end(elements);
	finish();
	unsigned answered = sequence;
	batch(NFNL_MSG_BATCH_END);
	sequence = answered;
	exchange(fd, "map the port", ENOENT);
}

static void work(const char *plugin, const char *command)
{
	int is_add = strcmp(command, "ADD") == 0, is_del = strcmp(command, "DEL") == 0;
	int is_limited = strstr(request, "\"ingressRate\":1") != NULL, has_port = strstr(request, "\"hostPort\":2") != NULL;
	if (strcmp(plugin, "calico") == 0) {
		if (is_del) {
			delete_link(host);
			return;
		}
		int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), netns = open(getenv("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
		if (own < 0 || netns < 0)
			fail("open the namespaces");
		(is_add ? add_interface : check_interface)(netns, own);
	} else if (strcmp(plugin, "bandwidth") == 0 && is_limited) {
		if (is_add)
			add_limits();
		else if (is_del)
			delete_link(ifb);
		else
			dump(open_netlink(NETLINK_ROUTE), RTM_GETQDISC, sizeof(struct tcmsg));
	} else if (strcmp(plugin, "portmap") == 0 && has_port && (is_add || is_del)) {
		map_port(is_del);
	}
}

#else

static void work(const char *plugin, const char *command)
{
	(void)plugin, (void)command, (void)host, (void)ifb;
}

#endif

int main(int argc, char **argv)
{
	(void)argc;
	const char *slash = strrchr(argv[0], '/'), *plugin = slash ? slash + 1 : argv[0];
	const char *command = getenv("CNI_COMMAND"), *container = getenv("CNI_CONTAINERID");
	const char *digits = container ? strrchr(container, '-') : NULL;
	if (command == NULL || digits == NULL)
		fail("read the environment");
	number = atoi(digits + 1);
	snprintf(host, sizeof host, "floor%d", number);
	snprintf(ifb, sizeof ifb, "floorifb%d", number);
	size_t length = 0;
	ssize_t got;
	while ((got = read(0, request + length, sizeof request - 1 - length)) > 0)
		length += got;
	work(plugin, command);
	if (strcmp(command, "ADD") == 0)
		printf("{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"%s\"},{\"name\":\"eth0\",\"sandbox\":\"%s\"}],"
		       "\"ips\":[{\"address\":\"10.209.%d.%d/32\",\"interface\":1}]}\n",
		       host, getenv("CNI_NETNS"), (2 + number) >> 8, (2 + number) & 255);
	return 0;
}
