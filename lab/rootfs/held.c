// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/held: what the lab's OP-TEE holds of the normal world, now and of
 * earlier kernels, in one line of NAME=NUMBER. See pta_lab.h in the patches of
 * lab/firmware/optee-os/. What it takes to ask is counted as well.
 *
 * /lab/held mark: have OP-TEE fill the kernel's FF-A RX buffer with R, and say
 * where that is, a line "@lab memory ADDRESS" for each page of 4 KiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/tee.h>

#define PTA_LAB_CMD_HELD	0
#define PTA_LAB_CMD_MARK_RX	1
#define PAGE			4096
#define NUM_PARAMS		4

static const uint8_t pta_lab[TEE_IOCTL_UUID_LEN] = {
	0x93, 0xd2, 0xdc, 0x4a, 0x0f, 0x27, 0x43, 0xe2,
	0xbd, 0x5b, 0x9f, 0xbf, 0xf4, 0xad, 0x6b, 0xcc,
};

int main(int argc, char **argv)
{
	static const char *const names[NUM_PARAMS][2] = {
		{ "objects", "pages" },
		{ "earlier_objects", "earlier_pages" },
		{ "sessions", "earlier_sessions" },
		{ "threads", "kernel" },
	};
	int mark = argc > 1 && !strcmp(argv[1], "mark");
	struct tee_ioctl_open_session_arg open_arg = {};
	struct tee_ioctl_buf_data buf = { (uintptr_t)&open_arg, sizeof(open_arg) };
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param params[NUM_PARAMS];
	} call = { .arg = { .func = mark ? PTA_LAB_CMD_MARK_RX : PTA_LAB_CMD_HELD,
			    .num_params = NUM_PARAMS } };
	int fd = open("/dev/tee0", O_RDWR);
	int n;

	memcpy(open_arg.uuid, pta_lab, sizeof(pta_lab));
	if (fd < 0 || ioctl(fd, TEE_IOC_OPEN_SESSION, &buf) || open_arg.ret) {
		fprintf(stderr, "held: no session with the lab's PTA: %s, %#x\n",
			strerror(errno), open_arg.ret);
		return 1;
	}
	for (n = 0; n < NUM_PARAMS; n++)
		call.params[n].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_OUTPUT;
	if (mark) {
		call.params[0].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT;
		call.params[0].a = 'R';
		call.params[3].attr = TEE_IOCTL_PARAM_ATTR_TYPE_NONE;
	}
	call.arg.session = open_arg.session;
	buf.buf_ptr = (uintptr_t)&call;
	buf.buf_len = sizeof(call);
	if (ioctl(fd, TEE_IOC_INVOKE, &buf) || call.arg.ret) {
		fprintf(stderr, "held: the lab's PTA does not tell: %s, %#x\n",
			strerror(errno), call.arg.ret);
		return 1;
	}
	if (mark) {
		unsigned long long start = call.params[1].a << 32 | call.params[1].b;

		for (n = 0; n < (int)call.params[2].a; n += PAGE)
			printf("@lab memory %#llx\n", start + n);
		return 0;
	}
	for (n = 0; n < NUM_PARAMS; n++)
		printf("%s=%llu %s=%llu%c", names[n][0], call.params[n].a,
		       names[n][1], call.params[n].b, n < NUM_PARAMS - 1 ? ' ' : '\n');
	return 0;
}
