// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/fault [ROUNDS]: has the kernel run out of memory at each place where a
 * client of the TEE makes it allocate some, one place after the other: while
 * memory is allocated, while it is registered, and while a session is opened.
 * Says how many places there were, ROUNDS times each.
 *
 * It takes CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC, which may fail where the
 * kernel could wait (ignore-gfp-wait), see Documentation/fault-injection/.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/tee.h>

#define SIZE	(1024 * 1024)

static const uint8_t pta_invoke_tests[TEE_IOCTL_UUID_LEN] = {
	0xd9, 0x6a, 0x5b, 0x40, 0xc3, 0xe5, 0x21, 0xe3,
	0x87, 0x94, 0x10, 0x02, 0xa5, 0xd5, 0xc6, 0x1b,
};

static int tee, nth_fd;
static void *memory;

/* The nth allocation of this task fails; 0: none. Returns what is left of n. */
static int fail_nth(int nth)
{
	char now[16], old[16] = "";

	snprintf(now, sizeof(now), "%d", nth);
	if (pread(nth_fd, old, sizeof(old) - 1, 0) < 0 ||
	    pwrite(nth_fd, now, strlen(now), 0) < 0)
		perror("fail-nth");
	return atoi(old);
}

/*
 * Each takes something with the nth allocation failing, gives it back, and
 * returns what is left of n, or -1 if it failed for another reason.
 */
static int alloc(int nth)
{
	struct tee_ioctl_shm_alloc_data data = { .size = SIZE };
	int fd, left;

	fail_nth(nth);
	fd = ioctl(tee, TEE_IOC_SHM_ALLOC, &data);
	left = fail_nth(0);
	if (fd >= 0)
		close(fd);
	return fd < 0 && left ? -1 : left;
}

static int reg(int nth)
{
	struct tee_ioctl_shm_register_data data = {
		.addr = (uintptr_t)memory, .length = SIZE,
	};
	int fd, left;

	fail_nth(nth);
	fd = ioctl(tee, TEE_IOC_SHM_REGISTER, &data);
	left = fail_nth(0);
	if (fd >= 0)
		close(fd);
	return fd < 0 && left ? -1 : left;
}

static int session(int nth)
{
	struct tee_ioctl_open_session_arg arg = {};
	struct tee_ioctl_buf_data buf = { (uintptr_t)&arg, sizeof(arg) };
	struct tee_ioctl_close_session_arg close_arg;
	int rc, left;

	memcpy(arg.uuid, pta_invoke_tests, sizeof(arg.uuid));
	fail_nth(nth);
	rc = ioctl(tee, TEE_IOC_OPEN_SESSION, &buf) ?: (int)arg.ret;
	left = fail_nth(0);
	close_arg.session = arg.session;
	if (!rc)
		ioctl(tee, TEE_IOC_CLOSE_SESSION, &close_arg);
	return rc && left ? -1 : left;
}

/* How many places there are */
static int places(int (*call)(int nth))
{
	for (int nth = 1; nth < 1000; nth++) {
		int left = call(nth);

		if (left)
			return left < 0 ? left : nth - 1;
	}
	return -1;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	int allocs = 0, regs = 0, sessions = 0;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	tee = open("/dev/tee0", O_RDWR);
	memory = aligned_alloc(4096, SIZE);
	if (nth_fd < 0 || tee < 0 || !memory) {
		perror("fault");
		return 1;
	}
	memset(memory, 1, SIZE);
	while (rounds-- > 0 && allocs >= 0 && regs >= 0 && sessions >= 0) {
		allocs = places(alloc);
		regs = places(reg);
		sessions = places(session);
	}
	printf("alloc=%d register=%d session=%d\n", allocs, regs, sessions);
	return allocs < 1 || regs < 1 || sessions < 1;
}
