// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/client MODE [COUNT]: clients of the TEE that are alive when the machine
 * goes down. Each process says "@lab client MODE" on its standard output once
 * it is where it should be, goes on in the background, and tells the kernel's
 * log what became of it.
 *
 *   hold	has a session, allocated and registered memory, and sleeps
 *   mark	as hold, with C in each byte of the registered memory, of which it
 *		first says where that is, "@lab memory ADDRESS" for each page of 4 KiB
 *   load	waits for the supplicant to load a trusted application
 *   ask	waits for the supplicant to say that it has no such application
 *   wait	has a trusted application sleep for 24 days: its thread is suspended
 *   spin	has OP-TEE count to four thousand million
 *   yield	as spin, on CPU 1, a second one on CPU 0, and only when nobody else
 *		wants that CPU
 *   all	as yield, on both CPUs. At a line of input the machine goes down, by
 *		kexec if that is in place of COUNT, and they want the CPUs as
 *		anybody does
 *   busy	calls as fast as it can
 *   quit	as busy, with 64 sessions and the memory of hold, and gives back all
 *		of that when it is refused
 *
 * UUIDs and commands are those of OP-TEE's invocation test PTA and of xtest's
 * os_test TA.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <linux/tee.h>

#define PAGE			4096
#define SIZE			65536
#define PAGEMAP_FRAME		((1ULL << 55) - 1)
#define SESSIONS		64
#define CPUS			2	/* of the machine, for yield and all */
#define PTA_CMD_MUTEX		7	/* value a: 1 to read; b: how many times */
#define TA_CMD_WAIT		9	/* value a: ms */

static const uint8_t pta_invoke_tests[TEE_IOCTL_UUID_LEN] = {
	0xd9, 0x6a, 0x5b, 0x40, 0xc3, 0xe5, 0x21, 0xe3,
	0x87, 0x94, 0x10, 0x02, 0xa5, 0xd5, 0xc6, 0x1b,
};

static const uint8_t ta_os_test[TEE_IOCTL_UUID_LEN] = {
	0x5b, 0x9e, 0x0e, 0x40, 0x26, 0x36, 0x11, 0xe1,
	0xad, 0x9e, 0x00, 0x02, 0xa5, 0xd5, 0xc5, 0x1b,
};

/* Nobody's: a random one */
static const uint8_t ta_missing[TEE_IOCTL_UUID_LEN] = {
	0x9c, 0xef, 0x08, 0x5b, 0x0b, 0x44, 0x40, 0xf1,
	0xad, 0x16, 0x4e, 0x02, 0xa5, 0xd3, 0xf9, 0x2d,
};

static const char *mode;
static int shared[2];		/* memory that is allocated, and registered */
static char *mapped;		/* the former */
static char *registered;	/* the latter */

static void say(const char *fmt, ...)
{
	char text[200];
	va_list ap;
	int n = snprintf(text, sizeof(text), "client %s: ", mode);
	int fd = open("/dev/kmsg", O_WRONLY);

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(text);
	close(fd);
}

/* Both calls return what the kernel said, or else what OP-TEE said. */
static int open_session(int fd, const uint8_t *uuid, uint32_t *session)
{
	struct tee_ioctl_open_session_arg arg = {};
	struct tee_ioctl_buf_data buf = { (uintptr_t)&arg, sizeof(arg) };

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	if (ioctl(fd, TEE_IOC_OPEN_SESSION, &buf))
		return -errno;
	*session = arg.session;
	return arg.ret;
}

static int invoke(int fd, uint32_t session, uint32_t cmd, uint64_t a, uint64_t b)
{
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param params[4];
	} call = {
		.arg = { .func = cmd, .session = session, .num_params = 4 },
		.params = {
			{ .attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT, .a = a, .b = b },
			{ .attr = cmd == PTA_CMD_MUTEX ? TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_OUTPUT :
							 TEE_IOCTL_PARAM_ATTR_TYPE_NONE },
		},
	};
	struct tee_ioctl_buf_data buf = { (uintptr_t)&call, sizeof(call) };

	if (ioctl(fd, TEE_IOC_INVOKE, &buf))
		return -errno;
	return call.arg.ret;
}

static void ready(void)
{
	printf("@lab client %s\n", mode);
	fflush(stdout);
}

static int share(int fd)
{
	struct tee_ioctl_shm_alloc_data alloc = { .size = SIZE };
	struct tee_ioctl_shm_register_data reg = { .length = SIZE };

	shared[0] = ioctl(fd, TEE_IOC_SHM_ALLOC, &alloc);
	mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, shared[0], 0);
	registered = aligned_alloc(PAGE, SIZE);
	if (shared[0] < 0 || mapped == MAP_FAILED || !registered)
		return -errno;
	memset(registered, 1, SIZE);
	reg.addr = (uintptr_t)registered;
	shared[1] = ioctl(fd, TEE_IOC_SHM_REGISTER, &reg);
	return shared[1] < 0 ? -errno : 0;
}

/* Root may know where a page is, if that is not the kernel's, which allocated memory is. */
static int mark(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0)
		return -errno;
	memset(registered, 'C', SIZE);
	for (char *page = registered; page < registered + SIZE; page += PAGE) {
		if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) !=
		    sizeof(entry) || !(entry & PAGEMAP_FRAME))
			return -ENXIO;
		printf("@lab memory %#llx\n", (unsigned long long)(entry & PAGEMAP_FRAME) * PAGE);
	}
	close(fd);
	return 0;
}

static int hold(int fd)
{
	int rc = share(fd);

	if (!rc && !strcmp(mode, "mark"))
		rc = mark();
	if (rc)
		return rc;
	ready();
	pause();
	return 0;
}

static int busy(int fd, uint32_t session)
{
	unsigned int calls = 0;
	int rc;

	ready();
	do
		rc = invoke(fd, session, PTA_CMD_MUTEX, 1, 0);
	while (!rc && ++calls);
	if (!strcmp(mode, "quit")) {
		munmap(mapped, SIZE);
		close(shared[0]);
		close(shared[1]);
		close(fd);
	}
	say("%u calls, then %d", calls, rc);
	return rc;
}

static int yield(int cpu)
{
	struct sched_param param = {};
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || sched_setscheduler(0, SCHED_IDLE, &param))
		return -errno;
	return 0;
}

static int client(int number)
{
	int fd = open("/dev/tee0", O_RDWR);
	uint32_t session;
	int rc;

	if (fd < 0)
		return -errno;
	if (!strcmp(mode, "load") || !strcmp(mode, "ask")) {
		ready();
		return open_session(fd, !strcmp(mode, "ask") ? ta_missing : ta_os_test, &session);
	}
	rc = open_session(fd, !strcmp(mode, "wait") ? ta_os_test : pta_invoke_tests, &session);
	if (rc)
		return rc;
	if (!strcmp(mode, "hold") || !strcmp(mode, "mark"))
		return hold(fd);
	for (int i = 1; i < SESSIONS && !strcmp(mode, "quit") && !rc; i++)
		rc = open_session(fd, pta_invoke_tests, &session);
	if (!rc && !strcmp(mode, "quit"))
		rc = share(fd);
	if (rc)
		return rc;
	if (!strcmp(mode, "busy") || !strcmp(mode, "quit"))
		return busy(fd, session);
	if (!strcmp(mode, "yield") || !strcmp(mode, "all"))
		rc = yield((number + 1) % CPUS);
	if (rc)
		return rc;
	ready();
	if (!strcmp(mode, "wait"))
		return invoke(fd, session, TA_CMD_WAIT, INT32_MAX, 0);
	return invoke(fd, session, PTA_CMD_MUTEX, 1, UINT32_MAX);
}

static int go_down(const pid_t *pids, const char *how)
{
	struct sched_param param = { .sched_priority = 1 };

	getchar();
	switch (fork()) {
	case -1:
		perror("fork");
		return 1;
	case 0:		/* not before the kernel knows: it might take half a minute */
		if (sched_setscheduler(0, SCHED_FIFO, &param))
			perror("sched_setscheduler");
		usleep(20000);
		param.sched_priority = 0;
		for (int i = 0; i < CPUS; i++)
			if (sched_setscheduler(pids[i], SCHED_OTHER, &param))
				perror("sched_setscheduler");
		pause();
		return 0;
	}
	reboot(strcmp(how, "kexec") ? RB_POWER_OFF : RB_KEXEC);
	perror("reboot");
	return 1;
}

int main(int argc, char **argv)
{
	static const char *const modes[] = {
		"hold", "mark", "load", "ask", "wait", "spin", "yield", "all", "busy", "quit",
		NULL,
	};
	const char *const *known;
	int count = argc > 2 ? atoi(argv[2]) : 1;
	pid_t pids[CPUS];
	int number;

	mode = argc > 1 ? argv[1] : "";
	if (!strcmp(mode, "all"))
		count = CPUS;
	for (known = modes; *known && strcmp(mode, *known); known++)
		;
	if (count < 1 || !*known) {
		fprintf(stderr, "usage: %s hold|mark|load|ask|wait|spin|yield|all|busy|quit [COUNT]\n",
			argv[0]);
		return 2;
	}
	for (number = 0; number < count; number++) {
		pid_t pid = fork();

		if (number < CPUS)
			pids[number] = pid;
		switch (pid) {
		case -1:
			perror("fork");
			return 1;
		case 0:
			say("ended with %#x", client(number));
			/* What it holds stays open: it is alive, as user space is. */
			pause();
			return 0;
		}
	}
	return strcmp(mode, "all") ? 0 : go_down(pids, argc > 2 ? argv[2] : "");
}
