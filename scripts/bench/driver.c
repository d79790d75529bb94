/*
 * Runs chains of CNI plugins as libcni does and measures them: small and static, so that it costs less than what it measures.
 *
 *     driver PLAN ROUNDS PARALLEL
 *
 * PLAN is text: `chain NAME`, then for each of its plugins `plugin PATH REQUEST-FILE`. In a request, "@prevResult@" stands for the
 * result so far and "@hostPort@" for a port of the pod's own. Pods are /run/netns/bench0 and up, PARALLEL of them.
 *
 * Each round takes every chain once, in an order that turns round each time: one pod's ADD and DEL, then all pods' at once. Each prints
 *
 *     CHAIN OPERATION ROUND WALL-us CPU-us PEAK-KiB
 *
 * wall: from the first fork to the last reap. CPU: user and system time of the plugins and of what they waited for (wait4).
 * Peak: resident size of the largest process. A plugin that fails ends the run with what it answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CHAINS = 8, MAX_PLUGINS = 8, MAX_TEXT = 1 << 16, MAX_PODS = 64 };

struct plugin {
	char *path;
	char *request;
};

struct chain {
	char *name;
	struct plugin plugins[MAX_PLUGINS];
	int count;
};

struct usage {
	long cpu_us;
	long peak_kib;
};

/* What DEL of a pod gets as prevResult; shared with the workers, which run the ADD. */
struct pod {
	char result[MAX_TEXT];
	struct usage usage;
};

static struct chain chains[MAX_CHAINS];
static int chain_count;
static struct pod *pods;
static char *cni_path;

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
		char *first, *second;
		if (sscanf(line, "path %ms", &first) == 1) {
			cni_path = first;
		} else if (sscanf(line, "chain %ms", &first) == 1) {
			chains[chain_count++].name = first;
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

/* Runs one plugin; leaves what it answered in `answer`. */
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

/* ADD in order, DEL in reverse, for the pod of this number. */
static void run_chain(const struct chain *chain, int adding, int number)
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
		adding ? "CNI_COMMAND=ADD" : "CNI_COMMAND=DEL",
		id, netns, "CNI_IFNAME=eth0", "CNI_ARGS=", cni_path, NULL,
	};
	for (int i = 0; i < chain->count; i++) {
		const struct plugin *plugin = &chain->plugins[adding ? i : chain->count - 1 - i];
		const char *result = adding && i == 0 ? "null" : pod->result;
		replace(with_port, plugin->request, "\"@hostPort@\"", port);
		replace(request, with_port, "\"@prevResult@\"", result);
		run(plugin->path, environment, request, answer, &pod->usage);
		if (adding)
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

static void one(const struct chain *chain, int round, int adding)
{
	long started = now_us();
	run_chain(chain, adding, 0);
	report(chain, adding ? "add" : "del", round, now_us() - started, 1);
}

/* The workers wait at a pipe until all of them are there. */
static void many(const struct chain *chain, int round, int adding, int count)
{
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
		run_chain(chain, adding, i);
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
	report(chain, adding ? "add-parallel" : "del-parallel", round, now_us() - started, count);
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
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < chain_count; i++) {
			const struct chain *chain = &chains[round % 2 ? chain_count - 1 - i : i];
			one(chain, round, 1);
			one(chain, round, 0);
			many(chain, round, 1, parallel);
			many(chain, round, 0, parallel);
			fflush(stdout);
		}
	}
	return 0;
}
