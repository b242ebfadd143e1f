// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the TEE subsystem's user space interface, /dev/tee0 and
 * /dev/teepriv0.
 *
 * No trusted application has to be installed. Where something has to answer in
 * the TEE, OP-TEE's device enumeration pseudo TA does, which the kernel's
 * driver relies on as well. Where a helper in user space is needed and
 * tee-supplicant does not run, the tests are the helper. They take
 * /dev/teepriv0 for that, which also has the kernel enumerate the devices that
 * need a supplicant, once and for all: start tee-supplicant first if a driver
 * of such a device is wanted.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/tee.h>

#include "kselftest_harness.h"

#define TEE_DEV			"/dev/tee0"
#define TEEPRIV_DEV		"/dev/teepriv0"
#define TEE_SYSFS_IMPL_ID	"/sys/class/tee/tee0/implementation_id"
#define TEE_SYSFS_DEVICE	"/sys/bus/tee/devices/optee-ta-"

/* Of the GlobalPlatform TEE Client API */
#define TEEC_SUCCESS			0x00000000U
#define TEEC_ERROR_ITEM_NOT_FOUND	0xffff0008U
#define TEEC_ERROR_SHORT_BUFFER		0xffff0010U

/* OP-TEE's device enumeration pseudo TA: lists the UUIDs of devices */
#define PTA_CMD_GET_DEVICES	0
#define PTA_CMD_UNKNOWN		0xffffffff

/* Requests to the supplicant, and what they have in params[0] */
#define OPTEE_RPC_CMD_LOAD_TA	0	/* a, b: UUID */
#define OPTEE_RPC_CMD_SHM_ALLOC	6	/* b: size; the answer's c: id */
#define OPTEE_RPC_CMD_SHM_FREE	7	/* b: id */

/* An OP-TEE call has four parameters, and in an open session two more */
#define OPTEE_MAX_PARAMS	6

/* More than enough for a request to the supplicant */
#define SUPP_NUM_PARAMS		8U

/* Pieces of shared memory that a request to the supplicant may take */
#define SUPP_NUM_SHM		16

/*
 * Memory in as many pieces can be described to the TEE in one page. For more,
 * the FF-A ABI takes several messages. Not all firmware can put them together,
 * and Linux says ENXIO then.
 */
#define ONE_MESSAGE_PAGES	200

#define NUM_CONTEXTS		64
#define NUM_CLIENTS		8
#define NUM_ROUNDS		16
#define FILLER			0xa5

#define KERNEL_ADDR		(~0ULL << 12)

/* Attributes of parameters, and two that have no meaning */
#define ATTR_NONE		TEE_IOCTL_PARAM_ATTR_TYPE_NONE
#define ATTR_VALUE_IN		TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT
#define ATTR_VALUE_INOUT	TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT
#define ATTR_MEMREF_OUT		TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_OUTPUT
#define ATTR_UBUF_IN		TEE_IOCTL_PARAM_ATTR_TYPE_UBUF_INPUT
#define ATTR_OBJREF_IN		TEE_IOCTL_PARAM_ATTR_TYPE_OBJREF_INPUT
#define ATTR_META		TEE_IOCTL_PARAM_ATTR_META
#define ATTR_UNUSED_TYPE	4
#define ATTR_UNUSED_BIT		0x200

static const __u8 uuid_device_pta[TEE_IOCTL_UUID_LEN] = {
	0x70, 0x11, 0xa6, 0x88, 0xdd, 0xde, 0x40, 0x53,
	0xa5, 0xa9, 0x7b, 0x3c, 0x4d, 0xdf, 0x13, 0xb8,
};

/* Made up for this test, so that no TEE has it */
static const __u8 uuid_unknown[TEE_IOCTL_UUID_LEN] = {
	0x9b, 0x0b, 0x8d, 0x5c, 0x3c, 0x21, 0x4f, 0x0e,
	0x8d, 0x61, 0x52, 0x77, 0x1e, 0xc5, 0x09, 0xfa,
};

/* What the ioctls with a buffer take, and room for too much of it */
union tee_arg {
	struct tee_ioctl_open_session_arg open;
	struct tee_ioctl_invoke_arg invoke;
	struct tee_ioctl_object_invoke_arg object;
	struct tee_iocl_supp_recv_arg recv;
	struct tee_iocl_supp_send_arg send;
	__u8 raw[2 * TEE_MAX_ARG_SIZE];
};

static size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static size_t params_size(unsigned int num_params)
{
	return num_params * sizeof(struct tee_ioctl_param);
}

/* Like ioctl(), but returns the error */
static int tee_ioctl(int fd, unsigned int cmd, const void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

static int buf_ioctl(int fd, unsigned int cmd, const void *arg, __u64 len)
{
	struct tee_ioctl_buf_data buf = {
		.buf_ptr = (uintptr_t)arg,
		.buf_len = len,
	};

	return tee_ioctl(fd, cmd, &buf);
}

static void init_open(union tee_arg *arg, const __u8 *uuid)
{
	memset(arg, 0, sizeof(*arg));
	memcpy(arg->open.uuid, uuid, TEE_IOCTL_UUID_LEN);
	arg->open.clnt_login = TEE_IOCTL_LOGIN_PUBLIC;
}

static int do_open(int fd, union tee_arg *arg, unsigned int num_params)
{
	arg->open.num_params = num_params;
	return buf_ioctl(fd, TEE_IOC_OPEN_SESSION, arg,
			 sizeof(arg->open) + params_size(num_params));
}

static int open_session(int fd, const __u8 *uuid, __u32 *session, __u32 *ret)
{
	union tee_arg arg;
	int rc;

	init_open(&arg, uuid);
	/* To see that it is written in any case */
	arg.open.ret = ~TEEC_ERROR_ITEM_NOT_FOUND;
	rc = do_open(fd, &arg, 0);
	*session = arg.open.session;
	*ret = arg.open.ret;

	return rc;
}

static int close_session(int fd, __u32 session)
{
	struct tee_ioctl_close_session_arg arg = { .session = session };

	return tee_ioctl(fd, TEE_IOC_CLOSE_SESSION, &arg);
}

static int cancel(int fd, __u32 session)
{
	struct tee_ioctl_cancel_arg arg = { .session = session };

	return tee_ioctl(fd, TEE_IOC_CANCEL, &arg);
}

static void init_invoke(union tee_arg *arg, __u32 session, __u32 func)
{
	memset(arg, 0, sizeof(*arg));
	arg->invoke.session = session;
	arg->invoke.func = func;
	arg->invoke.ret = ~TEEC_SUCCESS;
}

static int do_invoke(int fd, union tee_arg *arg, unsigned int num_params)
{
	arg->invoke.num_params = num_params;
	return buf_ioctl(fd, TEE_IOC_INVOKE, arg,
			 sizeof(arg->invoke) + params_size(num_params));
}

/* A call that works: asks for the size of the list of devices */
static void init_get_devices(union tee_arg *arg, __u32 session, __u64 shm_id)
{
	init_invoke(arg, session, PTA_CMD_GET_DEVICES);
	arg->invoke.params[0].attr = ATTR_MEMREF_OUT;
	arg->invoke.params[0].c = shm_id;
}

/* Returns what the kernel says, or else, if positive, that the TEE failed */
static int get_devices(int fd, __u32 session, __u64 shm_id, size_t offs,
		       size_t *size)
{
	union tee_arg arg;
	int rc;

	init_get_devices(&arg, session, shm_id);
	arg.invoke.params[0].a = offs;
	arg.invoke.params[0].b = *size;
	rc = do_invoke(fd, &arg, 1);
	*size = arg.invoke.params[0].b;

	return rc ?: arg.invoke.ret != TEEC_SUCCESS;
}

static int shm_alloc(int fd, size_t size, struct tee_ioctl_shm_alloc_data *data)
{
	*data = (struct tee_ioctl_shm_alloc_data){ .size = size, .id = -1 };
	return tee_ioctl(fd, TEE_IOC_SHM_ALLOC, data);
}

static int shm_register(int fd, __u64 addr, __u64 length,
			struct tee_ioctl_shm_register_data *data)
{
	*data = (struct tee_ioctl_shm_register_data){
		.addr = addr,
		.length = length,
		.id = -1,
	};
	return tee_ioctl(fd, TEE_IOC_SHM_REGISTER, data);
}

static __u8 *map_anon(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static __u8 *map_shm(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static bool filled_with(const __u8 *p, size_t size, __u8 value)
{
	while (size--)
		if (*p++ != value)
			return false;

	return true;
}

/* Does the driver model have a device with this UUID? */
static bool device_exists(const __u8 *u)
{
	char path[sizeof(TEE_SYSFS_DEVICE) + 36];

	snprintf(path, sizeof(path), TEE_SYSFS_DEVICE
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
		 u[10], u[11], u[12], u[13], u[14], u[15]);

	return !access(path, F_OK);
}

/*
 * A fork that does not outlive the test, whose failed assertions end it at
 * once.
 */
static pid_t fork_child(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(KSFT_FAIL);
	}

	return pid;
}

/* Returns the exit code, or, if it is negative, the signal */
static int wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return KSFT_FAIL;

	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Returns a file descriptor, or -1 if the test is over */
static int open_tee(struct __test_metadata *_metadata, const char *path,
		    struct tee_ioctl_version_data *vers)
{
	int fd = open(path, O_RDWR);

	if (fd < 0) {
		switch (errno) {
		case ENOENT:
		case ENODEV:
		case ENXIO:
			SKIP(return -1, "no %s", path);
		case EACCES:
		case EPERM:
			SKIP(return -1, "no permission to use %s", path);
		case EBUSY:
			SKIP(return -1, "%s is in use, by tee-supplicant?",
			     path);
		}
	}
	ASSERT_LE(0, fd)
		TH_LOG("%s: %s", path, strerror(errno));
	ASSERT_EQ(0, tee_ioctl(fd, TEE_IOC_VERSION, vers));

	return fd;
}

/*
 * What any TEE can do.
 */

FIXTURE(tee) {
	struct tee_ioctl_version_data vers;
	int fd;
};

FIXTURE_SETUP(tee)
{
	self->fd = open_tee(_metadata, TEE_DEV, &self->vers);
}

FIXTURE_TEARDOWN(tee)
{
	close(self->fd);
}

TEST_F(tee, version)
{
	EXPECT_NE(0U, self->vers.impl_id);
	EXPECT_EQ(0U, self->vers.gen_caps & TEE_GEN_CAP_PRIVILEGED);

	if (self->vers.impl_id == TEE_IMPL_ID_OPTEE) {
		EXPECT_NE(0U, self->vers.gen_caps & TEE_GEN_CAP_GP);
		EXPECT_NE(0U, self->vers.impl_caps & TEE_OPTEE_CAP_TZ);
	}

	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_VERSION, NULL));
}

TEST_F(tee, version_sysfs)
{
	unsigned int impl_id = 0;
	FILE *f = fopen(TEE_SYSFS_IMPL_ID, "r");

	if (!f)
		SKIP(return, "no " TEE_SYSFS_IMPL_ID);
	EXPECT_EQ(1, fscanf(f, "%u", &impl_id));
	EXPECT_EQ(self->vers.impl_id, impl_id);
	fclose(f);
}

TEST_F(tee, unknown_ioctl)
{
	struct tee_ioctl_version_data vers = {};

	/* Of the right type, of another size, and of another subsystem */
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd,
				     _IO(TEE_IOC_MAGIC, TEE_IOC_BASE + 0xff),
				     &vers));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd,
				     _IOR(TEE_IOC_MAGIC, TEE_IOC_BASE, __u32),
				     &vers));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd,
				     _IOR('#', TEE_IOC_BASE, vers), &vers));
	EXPECT_EQ(0U, vers.impl_id);
}

TEST_F(tee, other_syscalls)
{
	char c = 0;

	EXPECT_EQ(-1, read(self->fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	/* Memory is mapped through a descriptor of its own */
	EXPECT_EQ(MAP_FAILED, map_shm(self->fd, page_size()));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(tee, many_contexts)
{
	struct tee_ioctl_version_data vers;
	int fds[NUM_CONTEXTS];
	int round, n;

	for (round = 0; round < 2; round++) {
		for (n = 0; n < NUM_CONTEXTS; n++) {
			fds[n] = open(TEE_DEV, O_RDWR);
			ASSERT_LE(0, fds[n]);
		}
		for (n = 0; n < NUM_CONTEXTS; n++) {
			memset(&vers, 0, sizeof(vers));
			EXPECT_EQ(0, tee_ioctl(fds[n], TEE_IOC_VERSION, &vers));
			EXPECT_EQ(self->vers.impl_id, vers.impl_id);
			EXPECT_EQ(0, close(fds[n]));
		}
	}
}

TEST_F(tee, fork)
{
	struct tee_ioctl_version_data vers;
	pid_t pid = fork_child();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (tee_ioctl(self->fd, TEE_IOC_VERSION, &vers))
			_exit(KSFT_FAIL);
		close(self->fd);
		_exit(KSFT_PASS);
	}
	EXPECT_EQ(KSFT_PASS, wait_child(pid));
	EXPECT_EQ(0, tee_ioctl(self->fd, TEE_IOC_VERSION, &vers));
}

TEST_F(tee, shm_alloc_refused)
{
	struct tee_ioctl_shm_alloc_data data;
	unsigned int bit;
	int rc;

	for (bit = 0; bit < 32; bit++) {
		data = (struct tee_ioctl_shm_alloc_data){
			.size = page_size(),
			.flags = 1U << bit,
		};
		EXPECT_EQ(-EINVAL,
			  tee_ioctl(self->fd, TEE_IOC_SHM_ALLOC, &data));
	}

	rc = shm_alloc(self->fd, 0, &data);
	/* A reserved pool has nothing of that size */
	if (rc == -ENOMEM && !(self->vers.gen_caps & TEE_GEN_CAP_REG_MEM))
		rc = -EINVAL;
	EXPECT_EQ(-EINVAL, rc);

	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_SHM_ALLOC, NULL));
}

TEST_F(tee, shm_register_fd_refused)
{
	struct tee_ioctl_shm_register_fd_data data;
	int null;

	/* Neither of them is a dma-buf */
	data = (struct tee_ioctl_shm_register_fd_data){ .fd = -1 };
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER_FD, &data));
	null = open("/dev/null", O_RDWR);
	ASSERT_LE(0, null);
	data = (struct tee_ioctl_shm_register_fd_data){ .fd = null };
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER_FD, &data));
	data.flags = 1;
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER_FD, &data));
	close(null);

	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER_FD, NULL));
}

/*
 * Allocated shared memory, of a size in pages and bytes.
 */

FIXTURE(alloc) {
	struct tee_ioctl_version_data vers;
	struct tee_ioctl_shm_alloc_data shm;
	size_t size;
	int shm_fd;
	int fd;
};

FIXTURE_VARIANT(alloc) {
	size_t pages;
	size_t bytes;
};

FIXTURE_VARIANT_ADD(alloc, one_byte) { .bytes = 1, };
FIXTURE_VARIANT_ADD(alloc, one_page) { .pages = 1, };
FIXTURE_VARIANT_ADD(alloc, page_and_byte) { .pages = 1, .bytes = 1, };
FIXTURE_VARIANT_ADD(alloc, 64k) { .bytes = 65536, };

FIXTURE_SETUP(alloc)
{
	self->shm_fd = -1;
	self->fd = open_tee(_metadata, TEE_DEV, &self->vers);
	if (self->fd < 0)
		return;

	self->size = variant->pages * page_size() + variant->bytes;
	self->shm_fd = shm_alloc(self->fd, self->size, &self->shm);
	ASSERT_LE(0, self->shm_fd);
}

FIXTURE_TEARDOWN(alloc)
{
	close(self->shm_fd);
	close(self->fd);
}

TEST_F(alloc, result)
{
	struct tee_ioctl_shm_alloc_data other;
	int fd;

	/* Whole pages, or they could not be mapped */
	EXPECT_LE(self->size, self->shm.size);
	EXPECT_EQ(0U, self->shm.size % page_size());
	EXPECT_LE(0, self->shm.id);

	fd = shm_alloc(self->fd, self->size, &other);
	EXPECT_LE(0, fd);
	EXPECT_NE(self->shm.id, other.id);
	close(fd);
}

TEST_F(alloc, read_write)
{
	__u8 *p, *q;

	p = map_shm(self->shm_fd, self->shm.size);
	ASSERT_NE(MAP_FAILED, p);
	/* Nobody is shown what was in that memory before */
	EXPECT_TRUE(filled_with(p, self->shm.size, 0));
	memset(p, FILLER, self->shm.size);

	q = map_shm(self->shm_fd, self->shm.size);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_NE(p, q);
	EXPECT_TRUE(filled_with(q, self->shm.size, FILLER));
	q[self->size - 1] = 1;
	EXPECT_EQ(1, p[self->size - 1]);

	EXPECT_EQ(0, munmap(p, self->shm.size));
	EXPECT_EQ(0, munmap(q, self->shm.size));
}

TEST_F(alloc, is_cleared)
{
	struct tee_ioctl_shm_alloc_data data;
	int fd, n;
	__u8 *p;

	for (n = 0; n < NUM_ROUNDS; n++) {
		fd = shm_alloc(self->fd, self->size, &data);
		ASSERT_LE(0, fd);
		p = map_shm(fd, data.size);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_TRUE(filled_with(p, data.size, 0));
		memset(p, FILLER, data.size);
		munmap(p, data.size);
		close(fd);
	}
}

TEST_F(alloc, map_refused)
{
	size_t size = self->shm.size;

	EXPECT_EQ(MAP_FAILED, map_shm(self->shm_fd, size + page_size()));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED,
				   self->shm_fd, size));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, PROT_READ, MAP_SHARED,
				   self->shm_fd, page_size()));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(alloc, outlives_context)
{
	__u8 *p;

	EXPECT_EQ(0, close(self->fd));
	self->fd = -1;
	p = map_shm(self->shm_fd, self->shm.size);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, FILLER, self->shm.size);

	EXPECT_EQ(0, close(self->shm_fd));
	self->shm_fd = -1;
	EXPECT_TRUE(filled_with(p, self->shm.size, FILLER));
	memset(p, 0, self->shm.size);
	EXPECT_EQ(0, munmap(p, self->shm.size));
}

TEST_F(alloc, fork)
{
	pid_t pid;
	__u8 *p;

	p = map_shm(self->shm_fd, self->shm.size);
	ASSERT_NE(MAP_FAILED, p);
	p[self->size - 1] = 0;

	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		p[self->size - 1] = FILLER;
		_exit(KSFT_PASS);
	}
	EXPECT_EQ(KSFT_PASS, wait_child(pid));
	EXPECT_EQ(FILLER, p[self->size - 1]);
	EXPECT_EQ(0, munmap(p, self->shm.size));
}

/*
 * Registered memory, that begins somewhere in a page. The offsets are made for
 * pages of 4 KiB, and do no harm if they are larger.
 */

FIXTURE(reg) {
	struct tee_ioctl_version_data vers;
	size_t map_size;
	size_t length;
	__u8 *map;
	__u8 *addr;
	int fd;
};

FIXTURE_VARIANT(reg) {
	size_t offs;
	size_t pages;
	size_t bytes;
};

FIXTURE_VARIANT_ADD(reg, page) { .pages = 1, };
FIXTURE_VARIANT_ADD(reg, byte) { .offs = 123, .bytes = 1, };
FIXTURE_VARIANT_ADD(reg, across_pages) { .offs = 4095, .bytes = 2, };
FIXTURE_VARIANT_ADD(reg, unaligned) { .offs = 1, .pages = 1, };
FIXTURE_VARIANT_ADD(reg, many_pages) { .pages = ONE_MESSAGE_PAGES, };
FIXTURE_VARIANT_ADD(reg, very_many_pages) { .pages = 600, };
FIXTURE_VARIANT_ADD(reg, many_pages_unaligned) {
	.offs = 3, .pages = 16, .bytes = 99,
};

FIXTURE_SETUP(reg)
{
	struct tee_ioctl_shm_register_data data;
	int fd;

	self->fd = open_tee(_metadata, TEE_DEV, &self->vers);
	if (self->fd < 0)
		return;
	if (!(self->vers.gen_caps & TEE_GEN_CAP_REG_MEM))
		SKIP(return, "this TEE cannot register memory");

	self->length = variant->pages * page_size() + variant->bytes;
	self->map_size = self->length + 2 * page_size();
	self->map = map_anon(self->map_size);
	ASSERT_NE(MAP_FAILED, self->map);
	self->addr = self->map + variant->offs;
	memset(self->addr, FILLER, self->length);

	if (variant->pages > ONE_MESSAGE_PAGES) {
		fd = shm_register(self->fd, (uintptr_t)self->addr, self->length,
				  &data);
		if (fd == -ENXIO)
			SKIP(return, "firmware takes no memory in many pieces");
		close(fd);
	}
}

FIXTURE_TEARDOWN(reg)
{
	munmap(self->map, self->map_size);
	close(self->fd);
}

TEST_F(reg, result)
{
	struct tee_ioctl_shm_register_data data;
	int n, fd;

	for (n = 0; n < NUM_ROUNDS; n++) {
		fd = shm_register(self->fd, (uintptr_t)self->addr, self->length,
				  &data);
		ASSERT_LE(0, fd);
		EXPECT_EQ(self->length, data.length);
		EXPECT_LE(0, data.id);
		EXPECT_EQ(0, close(fd));
	}
	EXPECT_TRUE(filled_with(self->addr, self->length, FILLER));
}

TEST_F(reg, outlives_context)
{
	struct tee_ioctl_shm_register_data data;
	int fd;

	fd = shm_register(self->fd, (uintptr_t)self->addr, self->length, &data);
	ASSERT_LE(0, fd);

	/* It is mapped already, and cannot be had once more through the TEE */
	EXPECT_EQ(MAP_FAILED, map_shm(fd, page_size()));
	EXPECT_EQ(EINVAL, errno);

	/* The memory belongs to its registration, mapped or not */
	EXPECT_EQ(0, munmap(self->map, self->map_size));
	EXPECT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_EQ(0, close(fd));
}

TEST_F(reg, refused)
{
	struct tee_ioctl_shm_register_data data;
	__u64 addr = (uintptr_t)self->addr;
	__u64 length = self->length;
	size_t last;

	data = (struct tee_ioctl_shm_register_data){
		.addr = addr, .length = length, .flags = 1,
	};
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER, &data));

	/* Wraps, or is the kernel's */
	EXPECT_EQ(-EFAULT, shm_register(self->fd, -length, length + 1, &data));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, addr, -1ULL, &data));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, addr, -addr, &data));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, KERNEL_ADDR, 1, &data));

	/* The TEE may write to what is registered */
	ASSERT_EQ(0, mprotect(self->map, self->map_size, PROT_READ));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, addr, length, &data));
	ASSERT_EQ(0, mprotect(self->map, self->map_size, PROT_NONE));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, addr, length, &data));

	/* Control: with the mapping as it was, it works */
	ASSERT_EQ(0, mprotect(self->map, self->map_size,
			      PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, close(shm_register(self->fd, addr, length, &data)));

	/* Without its last page, and if it has only one, without any */
	last = (self->addr + length - 1 - self->map) / page_size() *
	       page_size();
	ASSERT_EQ(0, munmap(self->map + last, page_size()));
	EXPECT_EQ(last ? -ENOMEM : -EFAULT,
		  shm_register(self->fd, addr, length, &data));
}

TEST_F(tee, shm_register_refused)
{
	struct tee_ioctl_shm_register_data data;
	struct tee_ioctl_shm_alloc_data alloc;
	size_t size = page_size();
	int fd, rc;
	__u8 *p;

	if (!(self->vers.gen_caps & TEE_GEN_CAP_REG_MEM))
		SKIP(return, "this TEE cannot register memory");

	p = map_anon(size);
	ASSERT_NE(MAP_FAILED, p);

	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_SHM_REGISTER, NULL));
	/* No pages to register, or a bad length: both are true */
	rc = shm_register(self->fd, (uintptr_t)p, 0, &data);
	EXPECT_TRUE(rc == -ENOMEM || rc == -EINVAL);
	rc = shm_register(self->fd, (uintptr_t)p + 1, 0, &data);
	EXPECT_TRUE(rc == -ENOMEM || rc == -EINVAL);
	EXPECT_EQ(0, munmap(p, size));
	EXPECT_EQ(-EFAULT, shm_register(self->fd, (uintptr_t)p, size, &data));

	/* Memory that has no pages to be registered */
	fd = shm_alloc(self->fd, size, &alloc);
	ASSERT_LE(0, fd);
	p = map_shm(fd, size);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EFAULT, shm_register(self->fd, (uintptr_t)p, size, &data));
	EXPECT_EQ(0, munmap(p, size));
	EXPECT_EQ(0, close(fd));
}

/* Pages that are pinned and were not unpinned yet, in the whole system */
static long pinned_pages(struct __test_metadata *_metadata)
{
	long long acquired = -1, released = -1;
	FILE *f = fopen("/proc/vmstat", "r");
	char line[100];

	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "nr_foll_pin_acquired %lld", &acquired) != 1 &&
		    sscanf(line, "nr_foll_pin_released %lld", &released) == 1)
			break;
	fclose(f);

	return acquired < 0 || released < 0 ? -1 : acquired - released;
}

/* What could be pinned before it turned out that the rest is not there */
TEST_F(tee, shm_register_unpins)
{
	struct tee_ioctl_shm_register_data data;
	size_t size = 3 * page_size();
	long before, after;
	int n, offs;
	__u8 *p;

	if (!(self->vers.gen_caps & TEE_GEN_CAP_REG_MEM))
		SKIP(return, "this TEE cannot register memory");
	before = pinned_pages(_metadata);
	if (before < 0)
		SKIP(return, "this kernel does not count pinned pages");

	p = map_anon(size);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, FILLER, size);
	ASSERT_EQ(0, munmap(p + size - page_size(), page_size()));
	for (offs = 0; offs < 2; offs++) {
		for (n = 0; n < NUM_ROUNDS; n++)
			EXPECT_GT(0, shm_register(self->fd, (uintptr_t)p + offs,
						  size - offs, &data));
		after = pinned_pages(_metadata);
		/* Others may pin a page or two at that moment */
		EXPECT_GT(before + NUM_ROUNDS / 2, after)
			TH_LOG("%ld pages stay pinned, at offset %d",
			       after - before, offs);
	}
	munmap(p, size - page_size());
}

/*
 * The buffers of those ioctls that have one.
 */

FIXTURE(buf) {
	struct tee_ioctl_version_data vers;
	int fd;
};

FIXTURE_VARIANT(buf) {
	const char *path;
	unsigned int cmd;
	size_t size;
};

FIXTURE_VARIANT_ADD(buf, open_session) {
	.path = TEE_DEV,
	.cmd = TEE_IOC_OPEN_SESSION,
	.size = sizeof(struct tee_ioctl_open_session_arg),
};

FIXTURE_VARIANT_ADD(buf, invoke) {
	.path = TEE_DEV,
	.cmd = TEE_IOC_INVOKE,
	.size = sizeof(struct tee_ioctl_invoke_arg),
};

FIXTURE_VARIANT_ADD(buf, supp_recv) {
	.path = TEEPRIV_DEV,
	.cmd = TEE_IOC_SUPPL_RECV,
	.size = sizeof(struct tee_iocl_supp_recv_arg),
};

FIXTURE_VARIANT_ADD(buf, supp_send) {
	.path = TEEPRIV_DEV,
	.cmd = TEE_IOC_SUPPL_SEND,
	.size = sizeof(struct tee_iocl_supp_send_arg),
};

FIXTURE_SETUP(buf)
{
	self->fd = open_tee(_metadata, variant->path, &self->vers);
	if (self->fd >= 0 && !(self->vers.gen_caps & TEE_GEN_CAP_GP))
		SKIP(return, "this TEE has no sessions");
}

FIXTURE_TEARDOWN(buf)
{
	close(self->fd);
}

/* Without a buffer, so that it shows whether the kernel got as far as that */
TEST_F(buf, length)
{
	static const __u64 too_much[] = {
		TEE_MAX_ARG_SIZE + 1, 1ULL << 32, (1ULL << 32) + 64, -1ULL,
	};
	size_t n;

	for (n = 0; n < variant->size; n++)
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, variant->cmd, NULL, n))
			TH_LOG("with a length of %zu", n);
	for (; n <= TEE_MAX_ARG_SIZE; n++)
		EXPECT_EQ(-EFAULT, buf_ioctl(self->fd, variant->cmd, NULL, n))
			TH_LOG("with a length of %zu", n);
	for (n = 0; n < ARRAY_SIZE(too_much); n++)
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, variant->cmd, NULL,
					     too_much[n]))
			TH_LOG("with a length of %#llx", too_much[n]);
}

TEST_F(buf, fault)
{
	__u8 *p = map_anon(2 * page_size());
	size_t n;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + page_size(), page_size()));

	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, variant->cmd, NULL));
	/* Of the buffer's description, and of the buffer, only a part is there */
	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, variant->cmd,
				     p + page_size() - sizeof(__u64)));
	for (n = 1; n < variant->size; n++)
		EXPECT_EQ(-EFAULT, buf_ioctl(self->fd, variant->cmd,
					     p + page_size() - n,
					     variant->size))
			TH_LOG("with %zu bytes", n);
	munmap(p, page_size());
}

/*
 * OP-TEE, with a session and some shared memory.
 */

FIXTURE(optee) {
	struct tee_ioctl_version_data vers;
	struct tee_ioctl_shm_alloc_data shm;
	__u32 session;
	int shm_fd;
	int fd;
};

/*
 * Without the pseudo TA, and without tee-supplicant, opening a session would
 * wait for the latter to load it. That there are devices says that there is
 * somebody who has enumerated them.
 */
static bool has_devices(void)
{
	glob_t found;
	int rc = glob(TEE_SYSFS_DEVICE "*", 0, NULL, &found);

	globfree(&found);

	return !rc;
}

static int open_optee(struct __test_metadata *_metadata,
		      struct tee_ioctl_version_data *vers, __u32 *session)
{
	int fd = open_tee(_metadata, TEE_DEV, vers);
	__u32 ret;

	if (fd < 0)
		return fd;
	if (vers->impl_id != TEE_IMPL_ID_OPTEE)
		SKIP(return -1, TEE_DEV " is not OP-TEE");
	if (!has_devices())
		SKIP(return -1, "OP-TEE enumerates no devices");
	ASSERT_EQ(0, open_session(fd, uuid_device_pta, session, &ret));
	ASSERT_EQ(TEEC_SUCCESS, ret);

	return fd;
}

FIXTURE_SETUP(optee)
{
	self->shm_fd = -1;
	self->fd = open_optee(_metadata, &self->vers, &self->session);
	if (self->fd < 0)
		return;
	self->shm_fd = shm_alloc(self->fd, page_size(), &self->shm);
	ASSERT_LE(0, self->shm_fd);
}

FIXTURE_TEARDOWN(optee)
{
	close(self->shm_fd);
	close(self->fd);
}

TEST_F(optee, session)
{
	size_t size = 0;
	union tee_arg arg;

	/* The list does not fit: the call fails, and says what it needs */
	init_get_devices(&arg, self->session, self->shm.id);
	EXPECT_EQ(0, do_invoke(self->fd, &arg, 1));
	EXPECT_EQ(TEEC_ERROR_SHORT_BUFFER, arg.invoke.ret);
	EXPECT_LT(0U, arg.invoke.params[0].b);
	EXPECT_EQ(0U, arg.invoke.params[0].b % TEE_IOCTL_UUID_LEN);

	size = arg.invoke.params[0].b;
	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
	EXPECT_EQ(arg.invoke.params[0].b, size);
	size--;
	EXPECT_EQ(1, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));

	/* What the TA makes of a command is nothing to the kernel */
	init_invoke(&arg, self->session, PTA_CMD_UNKNOWN);
	EXPECT_EQ(0, do_invoke(self->fd, &arg, 0));
	EXPECT_NE(TEEC_SUCCESS, arg.invoke.ret);
	EXPECT_NE(~TEEC_SUCCESS, arg.invoke.ret);

	EXPECT_EQ(0, close_session(self->fd, self->session));
}

TEST_F(optee, two_sessions)
{
	size_t size = page_size();
	__u32 other, ret;

	ASSERT_EQ(0, open_session(self->fd, uuid_device_pta, &other, &ret));
	ASSERT_EQ(TEEC_SUCCESS, ret);
	EXPECT_NE(self->session, other);
	EXPECT_EQ(0, close_session(self->fd, self->session));
	EXPECT_EQ(0, get_devices(self->fd, other, self->shm.id, 0, &size));
	EXPECT_EQ(0, close_session(self->fd, other));
}

TEST_F(optee, closed_session)
{
	size_t size = page_size();

	ASSERT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
	ASSERT_EQ(0, close_session(self->fd, self->session));

	EXPECT_EQ(-EINVAL, get_devices(self->fd, self->session, self->shm.id, 0,
				       &size));
	EXPECT_EQ(-EINVAL, cancel(self->fd, self->session));
	EXPECT_EQ(-EINVAL, close_session(self->fd, self->session));
	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_CLOSE_SESSION, NULL));
	EXPECT_EQ(-EFAULT, tee_ioctl(self->fd, TEE_IOC_CANCEL, NULL));
}

/* There is nothing to cancel, which is not an error */
TEST_F(optee, cancel)
{
	size_t size = page_size();

	EXPECT_EQ(0, cancel(self->fd, self->session));
	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
}

TEST_F(optee, session_of_another_context)
{
	struct tee_ioctl_shm_alloc_data shm;
	size_t size = page_size();
	int fd, shm_fd;

	fd = open(TEE_DEV, O_RDWR);
	ASSERT_LE(0, fd);
	shm_fd = shm_alloc(fd, page_size(), &shm);
	ASSERT_LE(0, shm_fd);

	EXPECT_EQ(-EINVAL, get_devices(fd, self->session, shm.id, 0, &size));
	EXPECT_EQ(-EINVAL, cancel(fd, self->session));
	EXPECT_EQ(-EINVAL, close_session(fd, self->session));

	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
	close(shm_fd);
	close(fd);
}

TEST_F(optee, memory_of_another_context)
{
	struct tee_ioctl_shm_alloc_data shm;
	size_t size = page_size();
	int fd, shm_fd;

	fd = open(TEE_DEV, O_RDWR);
	ASSERT_LE(0, fd);
	shm_fd = shm_alloc(fd, page_size(), &shm);
	ASSERT_LE(0, shm_fd);

	EXPECT_EQ(-EINVAL, get_devices(self->fd, self->session, shm.id, 0,
				       &size));
	close(shm_fd);
	close(fd);
}

/* Memory is there as long as its descriptor or a mapping is */
TEST_F(optee, closed_memory)
{
	size_t size = page_size();
	__u8 *p;

	p = map_shm(self->shm_fd, size);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, close(self->shm_fd));
	self->shm_fd = -1;
	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
	EXPECT_TRUE(device_exists(p));

	ASSERT_EQ(0, munmap(p, page_size()));
	size = page_size();
	EXPECT_EQ(-EINVAL, get_devices(self->fd, self->session, self->shm.id, 0,
				       &size));
}

/* A forked process has the same context, and so the same session */
TEST_F(optee, fork)
{
	size_t size = page_size();
	pid_t pid;

	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(get_devices(self->fd, self->session, self->shm.id, 0,
				  &size) ? KSFT_FAIL : KSFT_PASS);
	EXPECT_EQ(KSFT_PASS, wait_child(pid));
	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));

	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(close_session(self->fd, self->session) ? KSFT_FAIL :
							       KSFT_PASS);
	EXPECT_EQ(KSFT_PASS, wait_child(pid));
	EXPECT_EQ(-EINVAL, close_session(self->fd, self->session));
}

/* What is left open is closed with the context, or there would be no room */
TEST_F(optee, many_sessions)
{
	int fds[NUM_CONTEXTS];
	__u32 session, ret;
	int round, n;

	for (round = 0; round < NUM_ROUNDS; round++) {
		for (n = 0; n < NUM_CONTEXTS; n++) {
			fds[n] = open(TEE_DEV, O_RDWR);
			ASSERT_LE(0, fds[n]);
			ASSERT_EQ(0, open_session(fds[n], uuid_device_pta,
						  &session, &ret));
			ASSERT_EQ(TEEC_SUCCESS, ret);
		}
		for (n = 0; n < NUM_CONTEXTS; n++)
			EXPECT_EQ(0, close(fds[n]));
	}
}

/* Not one failure, where there are more clients than the TEE has threads */
static int one_of_many_clients(void)
{
	struct tee_ioctl_shm_alloc_data shm;
	size_t size = page_size();
	int fd, shm_fd, n, rc;
	__u32 session, ret;

	for (n = 0; n < NUM_ROUNDS; n++) {
		fd = open(TEE_DEV, O_RDWR);
		if (fd < 0)
			return KSFT_FAIL;
		shm_fd = shm_alloc(fd, size, &shm);
		if (shm_fd < 0)
			return KSFT_FAIL;
		rc = open_session(fd, uuid_device_pta, &session, &ret);
		if (rc || ret != TEEC_SUCCESS)
			return KSFT_FAIL;
		size = page_size();
		if (get_devices(fd, session, shm.id, 0, &size))
			return KSFT_FAIL;
		if (close_session(fd, session))
			return KSFT_FAIL;
		close(shm_fd);
		close(fd);
	}

	return KSFT_PASS;
}

TEST_F(optee, many_clients)
{
	pid_t pids[NUM_CLIENTS];
	int n;

	for (n = 0; n < NUM_CLIENTS; n++) {
		pids[n] = fork_child();
		ASSERT_LE(0, pids[n]);
		if (!pids[n])
			_exit(one_of_many_clients());
	}
	for (n = 0; n < NUM_CLIENTS; n++)
		EXPECT_EQ(KSFT_PASS, wait_child(pids[n]));
}

TEST_F(optee, login)
{
	static const struct {
		__u32 login;
		__u32 gid;
		int rc;
	} logins[] = {
		{ TEE_IOCTL_LOGIN_PUBLIC, 0, 0 },
		{ TEE_IOCTL_LOGIN_USER, 0, 0 },
		{ TEE_IOCTL_LOGIN_GROUP, -1, -EPERM },	/* not a group */
		{ 3, 0, -EINVAL },			/* not a login */
		{ TEE_IOCTL_LOGIN_REE_KERNEL_MIN - 1, 0, -EINVAL },
		{ TEE_IOCTL_LOGIN_REE_KERNEL_MIN, 0, -EPERM },
		{ TEE_IOCTL_LOGIN_REE_KERNEL_MAX, 0, -EPERM },
		{ TEE_IOCTL_LOGIN_REE_KERNEL_MAX + 1, 0, -EINVAL },
		{ -1, 0, -EINVAL },
	};
	gid_t gid = getegid();
	union tee_arg arg;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(logins); n++) {
		init_open(&arg, uuid_device_pta);
		arg.open.clnt_login = logins[n].login;
		memcpy(arg.open.clnt_uuid, &logins[n].gid, sizeof(__u32));
		EXPECT_EQ(logins[n].rc, do_open(self->fd, &arg, 0))
			TH_LOG("for the login %#x", logins[n].login);
	}

	init_open(&arg, uuid_device_pta);
	arg.open.clnt_login = TEE_IOCTL_LOGIN_GROUP;
	memcpy(arg.open.clnt_uuid, &gid, sizeof(gid));
	EXPECT_EQ(0, do_open(self->fd, &arg, 0));
	EXPECT_EQ(TEEC_SUCCESS, arg.open.ret);
}

/* The number of parameters and the length of the buffer have to match */
TEST_F(optee, num_params)
{
	/* The last ones come out right in 32 bits, for either ioctl */
	static const __u32 bad[] = { 1, 2, 126, 127, 1U << 27, 1U << 31, -1U };
	union tee_arg arg;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		init_open(&arg, uuid_device_pta);
		arg.open.num_params = bad[n];
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_OPEN_SESSION,
					     &arg, sizeof(arg.open)))
			TH_LOG("with %#x parameters", bad[n]);

		init_get_devices(&arg, self->session, self->shm.id);
		arg.invoke.num_params = bad[n];
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_INVOKE, &arg,
					     sizeof(arg.invoke)))
			TH_LOG("with %#x parameters", bad[n]);
	}

	/* A buffer that is too long, by less and by more than a parameter */
	for (n = 1; n < 3 * sizeof(struct tee_ioctl_param); n++) {
		init_open(&arg, uuid_device_pta);
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_OPEN_SESSION,
					     &arg, sizeof(arg.open) + n))
			TH_LOG("with %zu bytes too much", n);

		init_get_devices(&arg, self->session, self->shm.id);
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_INVOKE, &arg,
					     sizeof(arg.invoke) + n))
			TH_LOG("with %zu bytes too much", n);
	}

	/* It matches, but is more than OP-TEE takes */
	init_open(&arg, uuid_device_pta);
	EXPECT_EQ(-EINVAL, do_open(self->fd, &arg, OPTEE_MAX_PARAMS - 1));
	init_get_devices(&arg, self->session, self->shm.id);
	EXPECT_EQ(-EINVAL, do_invoke(self->fd, &arg, OPTEE_MAX_PARAMS + 1));

	/* Control: parameters that say nothing do no harm */
	init_open(&arg, uuid_device_pta);
	EXPECT_EQ(0, do_open(self->fd, &arg, 4));
	EXPECT_EQ(TEEC_SUCCESS, arg.open.ret);
	init_get_devices(&arg, self->session, self->shm.id);
	EXPECT_EQ(0, do_invoke(self->fd, &arg, 4));
	EXPECT_EQ(TEEC_ERROR_SHORT_BUFFER, arg.invoke.ret);
}

TEST_F(optee, attributes)
{
	static const struct {
		__u64 attr;
		int rc;
	} attrs[] = {
		{ ATTR_MEMREF_OUT, 0 },				/* control */
		{ ATTR_UNUSED_TYPE, -EINVAL },
		{ TEE_IOCTL_PARAM_ATTR_TYPE_OBJREF_INOUT + 1, -EINVAL },
		{ TEE_IOCTL_PARAM_ATTR_TYPE_MASK, -EINVAL },
		{ ATTR_MEMREF_OUT | ATTR_UNUSED_BIT, -EINVAL },
		{ ATTR_MEMREF_OUT | 1ULL << 63, -EINVAL },
		/* Only a supplicant's requests have one of these */
		{ ATTR_MEMREF_OUT | ATTR_META, -EINVAL },
		/* Known, but not to OP-TEE */
		{ ATTR_UBUF_IN, -EINVAL },
		{ ATTR_OBJREF_IN, -EINVAL },
	};
	union tee_arg arg;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(attrs); n++) {
		init_get_devices(&arg, self->session, self->shm.id);
		arg.invoke.params[0].attr = attrs[n].attr;
		EXPECT_EQ(attrs[n].rc, do_invoke(self->fd, &arg, 1))
			TH_LOG("for the attribute %#llx", attrs[n].attr);

		/* The same where nothing is expected */
		init_get_devices(&arg, self->session, self->shm.id);
		arg.invoke.params[3].attr = attrs[n].attr;
		arg.invoke.params[3].c = self->shm.id;
		EXPECT_EQ(attrs[n].rc, do_invoke(self->fd, &arg, 4))
			TH_LOG("for the attribute %#llx", attrs[n].attr);
	}

	init_get_devices(&arg, self->session, self->shm.id);
	arg.invoke.params[1].attr = ATTR_UBUF_IN;
	arg.invoke.params[1].a = KERNEL_ADDR;
	arg.invoke.params[1].b = 1;
	EXPECT_EQ(-EFAULT, do_invoke(self->fd, &arg, 2));
}

TEST_F(optee, memref)
{
	const __u64 size = self->shm.size;
	const __u32 id = self->shm.id;
	const struct {
		__u64 a;
		__u64 b;
		__u64 c;
		int rc;
	} refs[] = {
		{ 0, size, id, 0 },			/* control */
		{ size - 1, 1, id, 0 },			/* control */
		{ 0, size + 1, id, -EINVAL },
		{ 1, size, id, -EINVAL },
		{ size, 1, id, -EINVAL },
		{ size + 1, 0, id, -EINVAL },
		{ -1ULL, 1, id, -EINVAL },		/* wraps */
		{ 1, -1ULL, id, -EINVAL },
		{ 0, size, 0, -EINVAL },		/* nobody's */
		{ 0, size, 0x7fffffff, -EINVAL },
		{ 0, size, -2ULL, -EINVAL },
	};
	union tee_arg arg;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(refs); n++) {
		init_get_devices(&arg, self->session, 0);
		arg.invoke.params[0].a = refs[n].a;
		arg.invoke.params[0].b = refs[n].b;
		arg.invoke.params[0].c = refs[n].c;
		EXPECT_EQ(refs[n].rc, do_invoke(self->fd, &arg, 1))
			TH_LOG("for %#llx bytes at %#llx of %lld", refs[n].b,
			       refs[n].a, refs[n].c);
	}
}

TEST_F(optee, memref_null)
{
	union tee_arg arg;

	init_get_devices(&arg, self->session, TEE_MEMREF_NULL);
	if (self->vers.gen_caps & TEE_GEN_CAP_MEMREF_NULL) {
		EXPECT_EQ(0, do_invoke(self->fd, &arg, 1));
		EXPECT_EQ(TEEC_ERROR_SHORT_BUFFER, arg.invoke.ret);
		EXPECT_LT(0U, arg.invoke.params[0].b);
	} else {
		EXPECT_EQ(-EINVAL, do_invoke(self->fd, &arg, 1));
	}
}

/* The answer cannot be written: nobody knows of the session, it is closed */
TEST_F(optee, fault_in_answer)
{
	size_t size = page_size();
	union tee_arg *arg;
	int n;

	arg = (void *)map_anon(sizeof(*arg));
	ASSERT_NE(MAP_FAILED, arg);

	for (n = 0; n < NUM_CONTEXTS; n++) {
		init_open(arg, uuid_device_pta);
		ASSERT_EQ(0, mprotect(arg, sizeof(*arg), PROT_READ));
		EXPECT_EQ(-EFAULT, buf_ioctl(self->fd, TEE_IOC_OPEN_SESSION,
					     arg, sizeof(arg->open)));
		ASSERT_EQ(0, mprotect(arg, sizeof(*arg),
				      PROT_READ | PROT_WRITE));
	}

	init_get_devices(arg, self->session, self->shm.id);
	arg->invoke.num_params = 1;
	ASSERT_EQ(0, mprotect(arg, sizeof(*arg), PROT_READ));
	EXPECT_EQ(-EFAULT, buf_ioctl(self->fd, TEE_IOC_INVOKE, arg,
				     sizeof(arg->invoke) + params_size(1)));

	EXPECT_EQ(0, munmap(arg, sizeof(*arg)));
	EXPECT_EQ(0, get_devices(self->fd, self->session, self->shm.id, 0,
				 &size));
}

TEST_F(optee, not_for_clients)
{
	union tee_arg arg;

	memset(&arg, 0, sizeof(arg));
	arg.recv.num_params = SUPP_NUM_PARAMS;
	EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_SUPPL_RECV, &arg,
				     sizeof(arg.recv) +
				     params_size(SUPP_NUM_PARAMS)));
	EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_SUPPL_SEND, &arg,
				     sizeof(arg.send) +
				     params_size(SUPP_NUM_PARAMS)));

	/* For TEEs with objects instead of sessions */
	EXPECT_EQ(0U, self->vers.gen_caps & TEE_GEN_CAP_OBJREF);
	memset(&arg, 0, sizeof(arg));
	EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_OBJECT_INVOKE, &arg,
				     sizeof(arg.object)));
	EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_OBJECT_INVOKE, NULL,
				     sizeof(arg.object)));
}

/*
 * Does OP-TEE write where it is told to, and nowhere else? Into allocated or
 * registered memory, that begins somewhere in a page, at some offset.
 */

FIXTURE(output) {
	struct tee_ioctl_version_data vers;
	__u32 session;
	int fd;
};

FIXTURE_VARIANT(output) {
	bool registered;
	size_t start;
	size_t offs;
	size_t pages;
};

FIXTURE_VARIANT_ADD(output, alloc) { .pages = 1, };
FIXTURE_VARIANT_ADD(output, alloc_offset) { .offs = 16, .pages = 1, };
FIXTURE_VARIANT_ADD(output, alloc_across) { .offs = 4096 - 8, .pages = 2, };
FIXTURE_VARIANT_ADD(output, reg) { .registered = true, .pages = 1, };
FIXTURE_VARIANT_ADD(output, reg_start) {
	.registered = true, .start = 24, .pages = 1,
};

FIXTURE_VARIANT_ADD(output, reg_start_offset) {
	.registered = true, .start = 24, .offs = 4096 - 32, .pages = 3,
};

FIXTURE_VARIANT_ADD(output, reg_far) {
	.registered = true, .start = 4096 - 8, .offs = 30 * 4096, .pages = 32,
};

FIXTURE_SETUP(output)
{
	self->fd = open_optee(_metadata, &self->vers, &self->session);
	if (self->fd < 0)
		return;
	if (variant->registered && !(self->vers.gen_caps & TEE_GEN_CAP_REG_MEM))
		SKIP(return, "this OP-TEE cannot register memory");
}

FIXTURE_TEARDOWN(output)
{
	close(self->fd);
}

TEST_F(output, devices)
{
	size_t room = variant->pages * page_size();
	struct tee_ioctl_shm_register_data reg;
	struct tee_ioctl_shm_alloc_data alloc;
	size_t map_size = room + 2 * page_size();
	size_t before, size, n;
	int shm_fd, id;
	__u8 *map;

	if (variant->registered) {
		map = map_anon(map_size);
		ASSERT_NE(MAP_FAILED, map);
		shm_fd = shm_register(self->fd,
				      (uintptr_t)map + variant->start, room,
				      &reg);
		id = reg.id;
	} else {
		map_size = room;
		shm_fd = shm_alloc(self->fd, room, &alloc);
		map = map_shm(shm_fd, room);
		ASSERT_NE(MAP_FAILED, map);
		id = alloc.id;
	}
	ASSERT_LE(0, shm_fd);

	/* Twice, since what is expected could have been there before */
	for (n = 0; n < 2; n++) {
		memset(map, FILLER + n, map_size);
		size = room - variant->offs;
		ASSERT_EQ(0, get_devices(self->fd, self->session, id,
					 variant->offs, &size));
		ASSERT_LT(0U, size);
		ASSERT_GE(room - variant->offs, size);
		ASSERT_EQ(0U, size % TEE_IOCTL_UUID_LEN);

		before = variant->start + variant->offs;
		EXPECT_TRUE(filled_with(map, before, FILLER + n));
		EXPECT_TRUE(filled_with(map + before + size,
					map_size - before - size, FILLER + n));
		while (size) {
			size -= TEE_IOCTL_UUID_LEN;
			EXPECT_TRUE(device_exists(map + before + size));
		}
	}

	EXPECT_EQ(0, close(shm_fd));
	EXPECT_EQ(0, munmap(map, map_size));
}

/*
 * A client that opens a session to a trusted application that no TEE has. It
 * waits until a supplicant has said so, or until it is killed.
 */
struct client {
	pid_t pid;
	int rc;
	__u32 ret;
	__u32 session;
	int rc_close;
};

static void client_start(struct __test_metadata *_metadata,
			 struct client **client, int supp_fd)
{
	struct client *c;
	pid_t pid;

	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, c);
	c->rc = 1;

	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = open(TEE_DEV, O_RDWR);

		/* Else the test could not close it for good */
		close(supp_fd);
		c->rc = open_session(fd, uuid_unknown, &c->session, &c->ret);
		c->rc_close = close_session(fd, c->session);
		_exit(KSFT_PASS);
	}
	c->pid = pid;
	*client = c;
}

/* The ioctl works, the session does not */
static void client_finish(struct __test_metadata *_metadata,
			  struct client *client, __u32 ret)
{
	EXPECT_EQ(KSFT_PASS, wait_child(client->pid));
	EXPECT_EQ(0, client->rc);
	EXPECT_EQ(ret, client->ret);
	EXPECT_EQ(-EINVAL, client->rc_close);
	munmap(client, sizeof(*client));
}

static int supp_recv(int fd, union tee_arg *arg, unsigned int num_params,
		     __u64 attr)
{
	memset(arg, 0, sizeof(*arg));
	arg->recv.num_params = num_params;
	arg->recv.params[0].attr = attr;

	return buf_ioctl(fd, TEE_IOC_SUPPL_RECV, arg,
			 sizeof(arg->recv) + params_size(num_params));
}

static int supp_send(int fd, union tee_arg *arg, __u32 ret)
{
	arg->send.ret = ret;
	return buf_ioctl(fd, TEE_IOC_SUPPL_SEND, arg,
			 sizeof(arg->send) + params_size(arg->send.num_params));
}

/* A request's first parameter, behind the meta parameter if it has one */
static struct tee_ioctl_param *first_param(union tee_arg *arg)
{
	return &arg->recv.params[arg->recv.params[0].attr & ATTR_META ? 1 : 0];
}

/*
 * Answers the request in @arg: there is memory for the TEE, but no file and no
 * trusted application.
 */
static int supp_answer(int fd, union tee_arg *arg)
{
	static struct tee_ioctl_shm_alloc_data shms[SUPP_NUM_SHM];
	static int shm_fds[SUPP_NUM_SHM];
	struct tee_ioctl_param *param = first_param(arg);
	__u32 ret = TEEC_ERROR_ITEM_NOT_FOUND;
	int n;

	switch (arg->recv.func) {
	case OPTEE_RPC_CMD_SHM_ALLOC:
		for (n = 0; n < SUPP_NUM_SHM && shms[n].id; n++)
			;
		if (n == SUPP_NUM_SHM)
			break;
		shm_fds[n] = shm_alloc(fd, param->b, &shms[n]);
		if (shm_fds[n] < 0)
			return shm_fds[n];
		param->c = shms[n].id;
		ret = TEEC_SUCCESS;
		break;
	case OPTEE_RPC_CMD_SHM_FREE:
		for (n = 0; n < SUPP_NUM_SHM; n++) {
			if (!shms[n].id || param->b != (__u64)shms[n].id)
				continue;
			close(shm_fds[n]);
			shms[n].id = 0;
			ret = TEEC_SUCCESS;
		}
		break;
	}

	return supp_send(fd, arg, ret);
}

/* Answers each request, until it is stopped */
static pid_t supp_start(int fd)
{
	pid_t pid = fork_child();
	union tee_arg arg;

	if (!pid) {
		do {
			if (supp_recv(fd, &arg, SUPP_NUM_PARAMS, ATTR_META))
				break;
		} while (!supp_answer(fd, &arg));
		_exit(KSFT_FAIL);
	}

	return pid;
}

/* It was still at work, and not because a request or an answer had failed */
static void supp_stop(struct __test_metadata *_metadata, pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, wait_child(pid));
}

/*
 * Receives the request for the client's trusted application. OP-TEE asks for
 * other things before: for files that could have it, and for shared memory.
 */
static void recv_load_ta(struct __test_metadata *_metadata, int fd,
			 union tee_arg *arg, __u64 attr)
{
	struct tee_ioctl_param *param;

	while (true) {
		ASSERT_EQ(0, supp_recv(fd, arg, SUPP_NUM_PARAMS, attr));
		ASSERT_GE(SUPP_NUM_PARAMS, arg->recv.num_params);
		param = first_param(arg);
		if (attr) {
			ASSERT_EQ(ATTR_VALUE_INOUT | ATTR_META,
				  (int)arg->recv.params[0].attr);
		} else {
			ASSERT_EQ(0, (int)arg->recv.params[0].attr & ATTR_META);
		}
		if (arg->recv.func == OPTEE_RPC_CMD_LOAD_TA)
			break;
		ASSERT_EQ(0, supp_answer(fd, arg));
	}

	EXPECT_EQ(attr ? 3U : 2U, arg->recv.num_params);
	EXPECT_EQ(ATTR_VALUE_IN, (int)param->attr);
	EXPECT_EQ(0, memcmp(&param->a, uuid_unknown, TEE_IOCTL_UUID_LEN));
}

TEST_F(optee, unknown_ta)
{
	int supp_fd = open(TEEPRIV_DEV, O_RDWR);
	struct client *client;
	pid_t supp = 0;

	if (supp_fd >= 0) {
		supp = supp_start(supp_fd);
		ASSERT_LE(0, supp);
	} else if (errno != EBUSY) {
		SKIP(return, "no " TEEPRIV_DEV);
	}

	client_start(_metadata, &client, supp_fd);
	client_finish(_metadata, client, TEEC_ERROR_ITEM_NOT_FOUND);

	if (supp)
		supp_stop(_metadata, supp);
	close(supp_fd);
}

/*
 * The supplicant's side. Skipped while tee-supplicant runs.
 */

FIXTURE(supp) {
	struct tee_ioctl_version_data vers;
	int fd;
};

FIXTURE_SETUP(supp)
{
	self->fd = open_tee(_metadata, TEEPRIV_DEV, &self->vers);
	if (self->fd >= 0 && self->vers.impl_id != TEE_IMPL_ID_OPTEE)
		SKIP(return, TEEPRIV_DEV " is not OP-TEE's");
}

FIXTURE_TEARDOWN(supp)
{
	close(self->fd);
}

TEST_F(supp, version)
{
	struct tee_ioctl_version_data vers;
	int fd = open(TEE_DEV, O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, tee_ioctl(fd, TEE_IOC_VERSION, &vers));
	EXPECT_EQ(vers.impl_id, self->vers.impl_id);
	EXPECT_EQ(vers.gen_caps | TEE_GEN_CAP_PRIVILEGED, self->vers.gen_caps);
	close(fd);
}

TEST_F(supp, only_one)
{
	int n;

	for (n = 0; n < NUM_ROUNDS; n++) {
		EXPECT_EQ(-1, open(TEEPRIV_DEV, O_RDWR));
		EXPECT_EQ(EBUSY, errno);
		EXPECT_EQ(0, close(self->fd));
		self->fd = open(TEEPRIV_DEV, O_RDWR);
		ASSERT_LE(0, self->fd);
	}
}

TEST_F(supp, not_for_supplicants)
{
	union tee_arg arg;

	init_open(&arg, uuid_device_pta);
	EXPECT_EQ(-EINVAL, do_open(self->fd, &arg, 0));
	init_invoke(&arg, 0, PTA_CMD_GET_DEVICES);
	EXPECT_EQ(-EINVAL, do_invoke(self->fd, &arg, 0));
	EXPECT_EQ(-EINVAL, cancel(self->fd, 0));
	EXPECT_EQ(-EINVAL, close_session(self->fd, 0));
	/* Before they look at what they are given */
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_OPEN_SESSION, NULL));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_INVOKE, NULL));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_CANCEL, NULL));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_CLOSE_SESSION, NULL));
	EXPECT_EQ(-EINVAL, tee_ioctl(self->fd, TEE_IOC_OBJECT_INVOKE, NULL));
}

/* A supplicant lends its memory to the TEE */
TEST_F(supp, shm)
{
	struct tee_ioctl_shm_register_data reg;
	struct tee_ioctl_shm_alloc_data alloc;
	size_t size = 4 * page_size();
	__u8 *p;
	int fd;

	fd = shm_alloc(self->fd, size, &alloc);
	ASSERT_LE(0, fd);
	p = map_shm(fd, size);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(filled_with(p, size, 0));
	memset(p, FILLER, size);
	EXPECT_EQ(0, munmap(p, size));
	EXPECT_EQ(0, close(fd));

	if (self->vers.gen_caps & TEE_GEN_CAP_REG_MEM) {
		p = map_anon(size);
		ASSERT_NE(MAP_FAILED, p);
		fd = shm_register(self->fd, (uintptr_t)p, size, &reg);
		EXPECT_LE(0, fd);
		EXPECT_EQ(size, reg.length);
		EXPECT_EQ(0, close(fd));
		EXPECT_EQ(0, munmap(p, size));
	}
}

/* If one of these were not refused it would wait for a request */
TEST_F(supp, recv_refused)
{
	static const __u32 bad[] = { 2, 127, 128, 1U << 27, 1U << 31, -1U };
	struct tee_ioctl_shm_alloc_data shm;
	union tee_arg arg;
	size_t n;
	int fd;

	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		memset(&arg, 0, sizeof(arg));
		arg.recv.num_params = bad[n];
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_SUPPL_RECV, &arg,
					     sizeof(arg.recv) + params_size(1)))
			TH_LOG("with %#x parameters", bad[n]);
	}

	/* Nothing is passed this way: there is room, and maybe for meta data */
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 0, ATTR_NONE));
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1, ATTR_VALUE_IN));
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1, ATTR_UNUSED_TYPE));
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1, ATTR_UNUSED_BIT));
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1,
				     ATTR_VALUE_INOUT | ATTR_META));

	/* Refused, and let go of */
	fd = shm_alloc(self->fd, page_size(), &shm);
	ASSERT_LE(0, fd);
	for (n = 0; n < NUM_ROUNDS; n++) {
		memset(&arg, 0, sizeof(arg));
		arg.recv.num_params = 1;
		arg.recv.params[0].attr = ATTR_MEMREF_OUT;
		arg.recv.params[0].b = page_size();
		arg.recv.params[0].c = shm.id;
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_SUPPL_RECV, &arg,
					     sizeof(arg.recv) +
					     params_size(1)));
	}
	EXPECT_EQ(0, close(fd));
	/* What still had memory would still have the context, and the device */
	EXPECT_EQ(0, close(self->fd));
	self->fd = open(TEEPRIV_DEV, O_RDWR);
	EXPECT_LE(0, self->fd);
}

/* No request, no answer */
TEST_F(supp, send_refused)
{
	static const __u32 bad[] = { 2, 127, 128, 1U << 27, 1U << 31, -1U };
	union tee_arg arg;
	size_t n;

	memset(&arg, 0, sizeof(arg));
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));
	arg.send.num_params = 1;
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));
	arg.send.params[0].attr = ATTR_VALUE_INOUT | ATTR_META;
	arg.send.params[0].a = 0x7fffffff;
	EXPECT_EQ(-ENOENT, supp_send(self->fd, &arg, 0));
	arg.send.params[0].attr |= ATTR_UNUSED_BIT;
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));

	arg.send.params[0].attr = ATTR_VALUE_INOUT | ATTR_META;
	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		arg.send.num_params = bad[n];
		EXPECT_EQ(-EINVAL, buf_ioctl(self->fd, TEE_IOC_SUPPL_SEND, &arg,
					     sizeof(arg.send) + params_size(1)))
			TH_LOG("with %#x parameters", bad[n]);
	}
}

/* Nor is there an answer to a request that nobody has received yet */
TEST_F(supp, send_before_recv)
{
	struct client *client;
	union tee_arg arg;
	pid_t supp;
	int id;

	client_start(_metadata, &client, self->fd);
	/* Waits for the request, and has no room for it */
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1, ATTR_META));

	for (id = 1; id <= NUM_CLIENTS; id++) {
		memset(&arg, 0, sizeof(arg));
		arg.send.num_params = 3;
		arg.send.params[0].attr = ATTR_VALUE_INOUT | ATTR_META;
		arg.send.params[0].a = id;
		ASSERT_EQ(-ENOENT, supp_send(self->fd, &arg, 0));
	}

	supp = supp_start(self->fd);
	ASSERT_LE(0, supp);
	client_finish(_metadata, client, TEEC_ERROR_ITEM_NOT_FOUND);
	supp_stop(_metadata, supp);
}

static void nop_handler(int __always_unused sig)
{
}

/* A supplicant that waits for requests can be stopped */
TEST_F(supp, recv_is_interruptible)
{
	/* Again and again, since the first one may come too early */
	struct itimerval often = {
		.it_interval = { .tv_usec = 50000 },
		.it_value = { .tv_usec = 50000 },
	};
	struct sigaction sa = { .sa_handler = nop_handler };
	union tee_arg arg;
	int rc;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	/* Somebody may really have a request */
	while (true) {
		rc = supp_recv(self->fd, &arg, SUPP_NUM_PARAMS, ATTR_META);
		if (rc)
			break;
		ASSERT_EQ(0, supp_answer(self->fd, &arg));
	}
	EXPECT_EQ(-EINTR, rc);
}

TEST_F(supp, request)
{
	struct client *client;
	union tee_arg arg;
	__u64 id;
	pid_t supp;

	client_start(_metadata, &client, self->fd);

	/* Room for the meta parameter alone: the request stays where it is */
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &arg, 1, ATTR_META));
	recv_load_ta(_metadata, self->fd, &arg, ATTR_META);

	/* Answers that are none, and take nothing away */
	id = arg.send.params[0].a;
	arg.send.params[0].a = 0x7fffffff;
	EXPECT_EQ(-ENOENT, supp_send(self->fd, &arg, 0));
	arg.send.params[0].a = id;
	arg.send.params[0].attr = ATTR_VALUE_INOUT;
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));
	arg.send.params[0].attr |= ATTR_META;
	arg.send.num_params--;
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));
	arg.send.num_params += 2;
	EXPECT_EQ(-EINVAL, supp_send(self->fd, &arg, 0));
	arg.send.num_params--;
	EXPECT_EQ(0, waitpid(client->pid, NULL, WNOHANG));

	EXPECT_EQ(0, supp_answer(self->fd, &arg));

	/* There may be more requests, for instance to free memory */
	supp = supp_start(self->fd);
	ASSERT_LE(0, supp);
	client_finish(_metadata, client, TEEC_ERROR_ITEM_NOT_FOUND);
	/* It has its answer, and there is no other request with that number */
	EXPECT_EQ(-ENOENT, supp_send(self->fd, &arg, 0));
	supp_stop(_metadata, supp);
}

/* Without a meta parameter: one request after another, without a number */
TEST_F(supp, request_synchronous)
{
	struct client *client;
	union tee_arg arg, other;
	pid_t supp;

	client_start(_metadata, &client, self->fd);
	recv_load_ta(_metadata, self->fd, &arg, ATTR_NONE);

	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &other, SUPP_NUM_PARAMS,
				     ATTR_NONE));
	EXPECT_EQ(-EINVAL, supp_recv(self->fd, &other, SUPP_NUM_PARAMS,
				     ATTR_META));
	EXPECT_EQ(0, supp_answer(self->fd, &arg));

	supp = supp_start(self->fd);
	ASSERT_LE(0, supp);
	client_finish(_metadata, client, TEEC_ERROR_ITEM_NOT_FOUND);
	supp_stop(_metadata, supp);
}

/* A client that waits for the supplicant can be killed */
TEST_F(supp, killed_client)
{
	struct client *client;
	union tee_arg arg;

	client_start(_metadata, &client, self->fd);
	recv_load_ta(_metadata, self->fd, &arg, ATTR_META);
	EXPECT_EQ(0, waitpid(client->pid, NULL, WNOHANG));

	EXPECT_EQ(0, kill(client->pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, wait_child(client->pid));
	EXPECT_EQ(1, client->rc);

	/* The supplicant is told, once */
	EXPECT_EQ(-EBADF, supp_send(self->fd, &arg, 0));
	EXPECT_EQ(-ENOENT, supp_send(self->fd, &arg, 0));
}

/* Also if the supplicant does not know of it yet, or there is none */
TEST_F(supp, killed_client_in_queue)
{
	struct client *client;
	int n;

	for (n = 0; n < 2; n++) {
		client_start(_metadata, &client, self->fd);
		usleep(200000);
		EXPECT_EQ(0, waitpid(client->pid, NULL, WNOHANG));
		EXPECT_EQ(0, kill(client->pid, SIGKILL));
		EXPECT_EQ(-SIGKILL, wait_child(client->pid));

		close(self->fd);
		self->fd = -1;
	}
}

/*
 * A request fails together with the supplicant that has it. The next one waits
 * for another supplicant.
 */
TEST_F(supp, restart)
{
	struct client *client;
	union tee_arg arg;
	pid_t supp;

	client_start(_metadata, &client, self->fd);
	ASSERT_EQ(0, supp_recv(self->fd, &arg, SUPP_NUM_PARAMS, ATTR_META));
	EXPECT_EQ(0, waitpid(client->pid, NULL, WNOHANG));
	EXPECT_EQ(0, close(self->fd));

	self->fd = open(TEEPRIV_DEV, O_RDWR);
	ASSERT_LE(0, self->fd);
	supp = supp_start(self->fd);
	ASSERT_LE(0, supp);

	EXPECT_EQ(KSFT_PASS, wait_child(client->pid));
	EXPECT_EQ(0, client->rc);
	EXPECT_NE(TEEC_SUCCESS, client->ret);
	EXPECT_EQ(-EINVAL, client->rc_close);
	supp_stop(_metadata, supp);
}

TEST_HARNESS_MAIN
