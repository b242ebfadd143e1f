// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/leave poweroff|reboot|kexec: says "lab: goes down" in the kernel's log, and
 * has the kernel do so at once: it starts no program, waits for nothing, and nobody
 * has the CPU in between. A machine whose only CPU is in secure world might come back
 * from there seconds later, before the kernel knows. Then it is a task like any other.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

static int first(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, SCHED_FIFO, &param);
}

static void no_longer_first(void)
{
	static const struct sched_param param;

	if (!first(2) && !usleep(20000) && !sched_setscheduler(getppid(), SCHED_OTHER, &param))
		pause();
	perror("sched_setscheduler");
	_exit(1);
}

static int leave(int cmd)
{
	static const char mark[] = "lab: goes down\n";
	int log = open("/dev/kmsg", O_WRONLY);
	pid_t pid;

	if (first(1) || (pid = fork()) < 0) {
		perror("lab: not as the first");
		return 1;
	}
	if (!pid)
		no_longer_first();
	if (log < 0 || write(log, mark, strlen(mark)) < 0)
		perror("/dev/kmsg");
	else if (reboot(cmd))
		perror("reboot");
	return 1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int cmd;
	} ways[] = {
		{ "poweroff", RB_POWER_OFF },
		{ "reboot", RB_AUTOBOOT },
		{ "kexec", RB_KEXEC },
	};

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways) && argc == 2; i++)
		if (!strcmp(argv[1], ways[i].name))
			return leave(ways[i].cmd);
	fprintf(stderr, "usage: %s poweroff|reboot|kexec\n", argv[0]);
	return 2;
}
