/*
 * Runs chains of CNI plugins as libcni does and measures them. Small and static, so that it costs less than what it measures.
 *
 *     driver PLAN ROUNDS PARALLEL
 *
 * PLAN is text:
 *
 *     node PID                                      a private node: the namespaces of this process and of its children
 *     chain NAME OPERATIONS CNI_PATH=DIRECTORIES    runs on the preceding node; OPERATIONS is "add,check,del" or "add,del"
 *     plugin PATH REQUEST-FILE                      belongs to the preceding chain
 *
 * In a request, "@prevResult@" stands for the result so far and "@hostPort@" for the pod's own port. The pods of every node are
 * /run/netns/bench0, /run/netns/bench1 and so on, PARALLEL of them.
 *
 *     driver ──turn──> a process on node 1 ──> plugins        One node works at a time: each waits on a pipe for its turn and
 *        └────turn──> a process on node 2 ──> plugins        reports the end of it on another pipe.
 *
 * Each round runs every chain once, in an order that rotates from round to round: ADD, CHECK and DEL of one pod, then ADD and DEL of
 * all pods at once. Each operation prints
 *
 *     CHAIN OPERATION ROUND WALL-us CPU-us PEAK-KiB
 *
 * Wall: from the first fork to the last reap. CPU: user and system time of the plugins and of the children that they waited for (wait4).
 * Peak: resident size of the largest process. A plugin that fails ends the run with its answer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_NODES = 64, MAX_CHAINS = 128, MAX_PLUGINS = 8, MAX_TEXT = 1 << 16, MAX_PODS = 64 };

struct plugin {
	char *path;
	char *request;
};

struct node {
	char *pid;
	int turn; /* the driver writes the numbers of a chain and a round */
	int over; /* the worker writes a byte at the end of the turn */
};

struct chain {
	char *name;
	char *operations;
	char *path; /* CNI_PATH */
	int node;
	struct plugin plugins[MAX_PLUGINS];
	int count;
};

struct usage {
	long cpu_us;
	long peak_kib;
};

/* The prevResult of a pod for CHECK and DEL; shared with the workers, which run the ADD. */
struct pod {
	char result[MAX_TEXT];
	struct usage usage;
};

enum operation { ADD, CHECK, DEL };
static const char *const names[] = {"add", "check", "del"};
static char *const commands[] = {"CNI_COMMAND=ADD", "CNI_COMMAND=CHECK", "CNI_COMMAND=DEL"};

static struct node nodes[MAX_NODES];
static int node_count;
static struct chain chains[MAX_CHAINS];
static int chain_count;
static struct pod *pods;

static void fail(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static char *read_file(const char *path)
{
	char *text = malloc(MAX_TEXT);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	ssize_t length = read(fd, text, MAX_TEXT - 1);
	if (length < 0)
		fail(path);
	text[length] = 0;
	close(fd);
	return text;
}

static void read_plan(const char *path)
{
	char *plan = read_file(path);
	for (char *line = strtok(plan, "\n"); line; line = strtok(NULL, "\n")) {
		char *first, *second, *third;
		if (sscanf(line, "node %ms", &first) == 1 && node_count < MAX_NODES) {
			nodes[node_count++].pid = first;
		} else if (sscanf(line, "chain %ms %ms %ms", &first, &second, &third) == 3 && node_count > 0 && chain_count < MAX_CHAINS) {
			struct chain *chain = &chains[chain_count++];
			chain->name = first;
			chain->operations = second;
			chain->path = third;
			chain->node = node_count - 1;
		} else if (sscanf(line, "plugin %ms %ms", &first, &second) == 2 && chain_count > 0) {
			struct chain *chain = &chains[chain_count - 1];
			chain->plugins[chain->count++] = (struct plugin){first, read_file(second)};
		}
	}
	free(plan);
}

/* Copies `text` with every `mark` replaced. */
static void replace(char *out, const char *text, const char *mark, const char *by)
{
	const char *at;
	while ((at = strstr(text, mark))) {
		memcpy(out, text, at - text);
		out += at - text;
		out = stpcpy(out, by);
		text = at + strlen(mark);
	}
	strcpy(out, text);
}

static void write_all(int fd, const char *text)
{
	size_t length = strlen(text);
	while (length > 0) {
		ssize_t written = write(fd, text, length);
		if (written < 0)
			fail("write to plugin");
		text += written;
		length -= written;
	}
}

/* Runs one plugin and leaves its output in `answer`. */
static void run(const char *path, char *const environment[], const char *request, char *answer, struct usage *usage)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fail("pipe");
	char *const arguments[] = {(char *)path, NULL};
	pid_t pid = vfork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execve(path, arguments, environment);
		_exit(127);
	}
	if (pid < 0)
		fail("vfork");
	close(in[0]);
	close(out[1]);
	write_all(in[1], request);
	close(in[1]);
	ssize_t length = 0, got;
	while ((got = read(out[0], answer + length, MAX_TEXT - 1 - length)) > 0)
		length += got;
	answer[length] = 0;
	close(out[0]);
	int status;
	struct rusage used;
	if (wait4(pid, &status, 0, &used) != pid)
		fail("wait4");
	if (status != 0) {
		fprintf(stderr, "driver: %s: status %d: %s\n", path, status, answer);
		exit(1);
	}
	usage->cpu_us += (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
	if (used.ru_maxrss > usage->peak_kib)
		usage->peak_kib = used.ru_maxrss;
}

/* Runs the plugins in order (DEL: in reverse) for the pod with this number. */
static void run_chain(const struct chain *chain, enum operation operation, int number)
{
	static char request[2 * MAX_TEXT], with_port[2 * MAX_TEXT], answer[MAX_TEXT];
	char id[128], netns[64], port[16];
	struct pod *pod = &pods[number];
	pod->usage = (struct usage){0, 0};
	snprintf(id, sizeof id, "CNI_CONTAINERID=bench-%s-%d", chain->name, number);
	snprintf(netns, sizeof netns, "CNI_NETNS=/run/netns/bench%d", number);
	snprintf(port, sizeof port, "%d", 20000 + number);
	char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		commands[operation], id, netns, "CNI_IFNAME=eth0", "CNI_ARGS=", chain->path, NULL,
	};
	for (int i = 0; i < chain->count; i++) {
		const struct plugin *plugin = &chain->plugins[operation == DEL ? chain->count - 1 - i : i];
		const char *result = operation == ADD && i == 0 ? "null" : pod->result;
		replace(with_port, plugin->request, "\"@hostPort@\"", port);
		replace(request, with_port, "\"@prevResult@\"", result);
		run(plugin->path, environment, request, answer, &pod->usage);
		if (operation == ADD)
			strcpy(pod->result, answer);
	}
}

static void report(const struct chain *chain, const char *operation, int round, long wall_us, int count)
{
	struct usage all = {0, 0};
	for (int i = 0; i < count; i++) {
		all.cpu_us += pods[i].usage.cpu_us;
		if (pods[i].usage.peak_kib > all.peak_kib)
			all.peak_kib = pods[i].usage.peak_kib;
	}
	printf("%s %s %d %ld %ld %ld\n", chain->name, operation, round, wall_us, all.cpu_us, all.peak_kib);
}

static void one(const struct chain *chain, int round, enum operation operation)
{
	long started = now_us();
	run_chain(chain, operation, 0);
	report(chain, names[operation], round, now_us() - started, 1);
}

/* Runs an operation for all pods at once: the workers wait at a pipe until all of them have started. */
static void many(const struct chain *chain, int round, enum operation operation, int count)
{
	char name[32];
	int gate[2];
	if (pipe2(gate, O_CLOEXEC))
		fail("pipe");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid > 0)
			continue;
		char byte;
		close(gate[1]);
		if (read(gate[0], &byte, 1) < 0)
			fail("read");
		run_chain(chain, operation, i);
		_exit(0);
	}
	close(gate[0]);
	usleep(2000);
	long started = now_us();
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		int status;
		if (wait(&status) < 0 || status != 0)
			exit(1);
	}
	snprintf(name, sizeof name, "%s-parallel", names[operation]);
	report(chain, name, round, now_us() - started, count);
}

static void enter(const struct node *node)
{
	static const char *const kinds[] = {"uts", "ipc", "net", "pid_for_children", "mnt"};
	int opened[sizeof kinds / sizeof *kinds];
	/* Open all before entering any: in the node's mount namespace /proc shows the node's own processes. */
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s/ns/%s", node->pid, kinds[i]);
		opened[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (opened[i] < 0)
			fail(path);
	}
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (setns(opened[i], 0))
			fail(kinds[i]);
		close(opened[i]);
	}
}

/* One turn: all operations of one chain. */
struct turn {
	int chain;
	int round;
};

/* Works on the node until the driver exits. */
static void serve(int turns, int over, int parallel)
{
	struct turn turn;
	while (read(turns, &turn, sizeof turn) == sizeof turn) {
		const struct chain *chain = &chains[turn.chain];
		one(chain, turn.round, ADD);
		if (strstr(chain->operations, "check"))
			one(chain, turn.round, CHECK);
		one(chain, turn.round, DEL);
		many(chain, turn.round, ADD, parallel);
		many(chain, turn.round, DEL, parallel);
		fflush(stdout);
		if (write(over, "", 1) != 1)
			fail("write");
	}
	exit(0);
}

static void start(struct node *node, int parallel)
{
	int turns[2], over[2];
	if (pipe2(turns, O_CLOEXEC) || pipe2(over, O_CLOEXEC))
		fail("pipe");
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		close(turns[1]);
		close(over[0]);
		/* A worker that held these open would hide the end of the driver from the others. */
		for (struct node *earlier = nodes; earlier < node; earlier++)
			close(earlier->turn), close(earlier->over);
		enter(node);
		serve(turns[0], over[1], parallel);
	}
	close(turns[0]);
	close(over[1]);
	node->turn = turns[1];
	node->over = over[0];
}

static void take_turn(int chain, int round)
{
	const struct node *node = &nodes[chains[chain].node];
	char byte;
	if (write(node->turn, &(struct turn){chain, round}, sizeof(struct turn)) < 0)
		fail("write");
	/* The worker has already reported the error. */
	if (read(node->over, &byte, 1) != 1)
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: driver PLAN ROUNDS PARALLEL\n");
		return 2;
	}
	int rounds = atoi(argv[2]), parallel = atoi(argv[3]);
	if (parallel < 1 || parallel > MAX_PODS)
		return 2;
	pods = mmap(NULL, parallel * sizeof *pods, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pods == MAP_FAILED)
		fail("mmap");
	read_plan(argv[1]);
	for (int i = 0; i < node_count; i++)
		start(&nodes[i], parallel);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < chain_count; i++)
			take_turn(round % 2 ? chain_count - 1 - i : i, round);
	return 0;
}
