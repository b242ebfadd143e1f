// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the shutdown of a Trusted Services partition, with a fake one
 */

#include <kunit/test.h>
#include <linux/arm_ffa.h>
#include <linux/completion.h>
#include <linux/crash_dump.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/tee_core.h>
#include <linux/tee_drv.h>
#include "tstee_private.h"

/* The partition's ID, which no real one has: it is non-secure */
#define FAKE_ID		0x7e57

/* Both words of a handle count */
#define FAKE_HANDLE(n)	(0x8765432100000001ULL + (n))
#define NUM_HANDLES	8

/* More than anything here takes, and less than the patience of who waits */
#define LONG_TIME	(5 * HZ)
#define SHORT_TIME	(HZ / 5)

/**
 * struct fake_mem - what the partition manager knows about a handle
 * @shared:		the memory was shared and not reclaimed
 * @retrieved:		the partition has retrieved and not relinquished it
 * @num_relinquished:	how often the partition was told to relinquish it
 * @num_reclaimed:	how often it was reclaimed, or tried to
 */
struct fake_mem {
	bool shared;
	bool retrieved;
	unsigned int num_relinquished;
	unsigned int num_reclaimed;
};

/**
 * struct fake_sp - a secure partition and the partition manager in front of it
 * @mem:		shared memory, in the order in which it was shared
 * @num_mem:		entries in use in @mem
 * @keep:		memory that the partition does not relinquish, or -1
 * @refuse_retrieve:	the partition does not retrieve memory
 * @block:		memory whose reclaim blocks until @unblock, or -1
 * @block_share:	sharing memory blocks until @unblock
 * @blocked:		one of them does
 * @unblock:		lets it go on
 */
struct fake_sp {
	struct fake_mem mem[NUM_HANDLES];
	int num_mem;
	int keep;
	bool refuse_retrieve;
	int block;
	bool block_share;
	struct completion blocked;
	struct completion unblock;
};

/* FF-A's memory operations have no argument to find it with */
static struct fake_sp fake;
static DEFINE_MUTEX(fake_mutex);

/**
 * struct tstee_test - what a test has to let go of in the end
 * @ffa_dev:	the partition's device
 * @ctx:	a client
 * @shm:	its shared memory
 * @late:	what it got in the middle of a shutdown
 */
struct tstee_test {
	struct ffa_device *ffa_dev;
	struct tee_context *ctx;
	struct tee_shm *shm[NUM_HANDLES];
	struct tee_shm *late;
};

static struct fake_mem *fake_find(u64 handle)
{
	int n;

	for (n = 0; n < fake.num_mem; n++)
		if (FAKE_HANDLE(n) == handle)
			return fake.mem + n;

	return NULL;
}

static void fake_mode_32bit_set(struct ffa_device *dev)
{
}

static int fake_sync_send_receive(struct ffa_device *dev,
				  struct ffa_send_direct_data *data)
{
	u64 handle = (u64)data->data2 << 32 | data->data1;
	struct fake_mem *mem;

	guard(mutex)(&fake_mutex);

	mem = fake_find(handle);
	switch (TS_RPC_CTRL_OPCODE(data->data0)) {
	case TS_RPC_OP_GET_VERSION:
		data->data1 = TS_RPC_PROTOCOL_VERSION;
		return 0;
	case TS_RPC_OP_RETRIEVE_MEM:
		if (!mem || !mem->shared || fake.refuse_retrieve)
			break;
		mem->retrieved = true;
		data->data1 = TS_RPC_OK;
		return 0;
	case TS_RPC_OP_RELINQ_MEM:
		if (!mem)
			break;
		mem->num_relinquished++;
		if (!mem->retrieved || mem - fake.mem == fake.keep)
			break;
		mem->retrieved = false;
		data->data1 = TS_RPC_OK;
		return 0;
	}
	data->data1 = TS_RPC_OK + 1;

	return 0;
}

/* Not with fake_mutex held: others go on */
static void fake_block(void)
{
	complete(&fake.blocked);
	wait_for_completion_timeout(&fake.unblock, LONG_TIME);
}

static int fake_memory_share(struct ffa_mem_ops_args *args)
{
	if (fake.block_share)
		fake_block();

	guard(mutex)(&fake_mutex);

	if (fake.num_mem == NUM_HANDLES)
		return -ENOMEM;
	args->g_handle = FAKE_HANDLE(fake.num_mem);
	fake.mem[fake.num_mem++].shared = true;

	return 0;
}

static int fake_memory_reclaim(u64 handle, u32 flags)
{
	struct fake_mem *mem;

	scoped_guard(mutex, &fake_mutex)
		mem = fake_find(handle);
	if (!mem)
		return -ENOENT;

	if (mem - fake.mem == fake.block)
		fake_block();

	guard(mutex)(&fake_mutex);

	mem->num_reclaimed++;
	if (!mem->shared)
		return -EINVAL;
	if (mem->retrieved)
		return -EACCES;
	mem->shared = false;

	return 0;
}

static const struct ffa_msg_ops fake_msg_ops = {
	.mode_32bit_set = fake_mode_32bit_set,
	.sync_send_receive = fake_sync_send_receive,
};

static const struct ffa_mem_ops fake_mem_ops = {
	.memory_share = fake_memory_share,
	.memory_reclaim = fake_memory_reclaim,
};

static const struct ffa_ops fake_ops = {
	.msg_ops = &fake_msg_ops,
	.mem_ops = &fake_mem_ops,
};

static int fake_match(struct tee_ioctl_version_data *vers, const void *data)
{
	return vers->impl_id == TEE_IMPL_ID_TSTEE && vers->impl_caps == FAKE_ID;
}

static void share(struct kunit *test, int num)
{
	struct tstee_test *t = test->priv;
	struct tee_shm *shm;
	int n;

	for (n = 0; n < num; n++) {
		shm = tee_shm_alloc_kernel_buf(t->ctx, PAGE_SIZE);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
		t->shm[n] = shm;
	}
	KUNIT_ASSERT_EQ(test, fake.num_mem, num);
}

static void unshare(struct kunit *test, int n)
{
	struct tstee_test *t = test->priv;

	tee_shm_free(t->shm[n]);
	t->shm[n] = NULL;
}

static void shutdown(struct ffa_device *ffa_dev)
{
	/* The way device_shutdown() does */
	ffa_dev->dev.bus->shutdown(&ffa_dev->dev);
}

/* All memory of a client that is alive is back, and is not given back twice */
static void tstee_shutdown_takes_back(struct kunit *test)
{
	struct tstee_test *t = test->priv;
	int n;

	share(test, 4);
	unshare(test, 1);
	shutdown(t->ffa_dev);

	for (n = 0; n < 4; n++) {
		KUNIT_EXPECT_FALSE(test, fake.mem[n].retrieved);
		KUNIT_EXPECT_FALSE(test, fake.mem[n].shared);
	}

	/* Again, by whoever may call it, and then by the owner */
	shutdown(t->ffa_dev);
	for (n = 0; n < 4; n++)
		if (t->shm[n])
			unshare(test, n);

	for (n = 0; n < 4; n++) {
		KUNIT_EXPECT_EQ(test, fake.mem[n].num_relinquished, 1);
		KUNIT_EXPECT_EQ(test, fake.mem[n].num_reclaimed, 1);
	}
}

/* One that fails does not stop the others, and its owner tries again */
static void tstee_shutdown_goes_on(struct kunit *test)
{
	struct tstee_test *t = test->priv;
	int n;

	fake.keep = 1;
	share(test, 4);
	shutdown(t->ffa_dev);

	for (n = 0; n < 4; n++) {
		KUNIT_EXPECT_EQ(test, fake.mem[n].shared, n == 1);
		KUNIT_EXPECT_EQ(test, fake.mem[n].num_reclaimed, 1);
	}

	fake.keep = -1;
	for (n = 0; n < 4; n++)
		unshare(test, n);

	for (n = 0; n < 4; n++) {
		KUNIT_EXPECT_FALSE(test, fake.mem[n].shared);
		KUNIT_EXPECT_EQ(test, fake.mem[n].num_reclaimed, n == 1 ? 2 : 1);
	}
}

/* Nothing is shared after the shutdown */
static void tstee_shutdown_refuses(struct kunit *test)
{
	struct tstee_test *t = test->priv;

	shutdown(t->ffa_dev);
	KUNIT_EXPECT_EQ(test, PTR_ERR(tee_shm_alloc_kernel_buf(t->ctx, PAGE_SIZE)),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, fake.num_mem, 0);
}

/* A partition that does not want memory is left alone with it afterwards */
static void tstee_refused_memory_is_back(struct kunit *test)
{
	struct tstee_test *t = test->priv;

	fake.refuse_retrieve = true;
	KUNIT_EXPECT_TRUE(test, IS_ERR(tee_shm_alloc_kernel_buf(t->ctx, PAGE_SIZE)));
	KUNIT_ASSERT_EQ(test, fake.num_mem, 1);
	KUNIT_EXPECT_FALSE(test, fake.mem[0].shared);

	shutdown(t->ffa_dev);
	KUNIT_EXPECT_EQ(test, fake.mem[0].num_reclaimed, 1);
}

struct task {
	int (*fn)(struct tstee_test *t);
	struct tstee_test *t;
	struct completion done;
};

static int task_fn(void *data)
{
	struct task *task = data;

	task->fn(task->t);
	complete(&task->done);

	return 0;
}

/* Static: it may outlive a test that fails */
static void task_start(struct kunit *test, struct task *task,
		       int (*fn)(struct tstee_test *t))
{
	task->fn = fn;
	task->t = test->priv;
	init_completion(&task->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(task_fn, task, "tstee-test")));
}

static int do_shutdown(struct tstee_test *t)
{
	shutdown(t->ffa_dev);
	return 0;
}

static int do_free(struct tstee_test *t)
{
	tee_shm_free(t->shm[0]);
	t->shm[0] = NULL;
	return 0;
}

/*
 * The pages of memory that is being taken back do not go to anybody else
 * before it is, and nobody else takes it back.
 */
static void tstee_shutdown_meets_owner(struct kunit *test)
{
	static struct task down, owner;

	share(test, 1);
	fake.block = 0;

	task_start(test, &down, do_shutdown);
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&fake.blocked, LONG_TIME));
	task_start(test, &owner, do_free);
	KUNIT_EXPECT_EQ_MSG(test, 0UL,
			    wait_for_completion_timeout(&owner.done, SHORT_TIME),
			    "freed while it is shared");

	fake.block = -1;
	complete_all(&fake.unblock);
	KUNIT_EXPECT_NE(test, 0UL,
			wait_for_completion_timeout(&down.done, 2 * LONG_TIME));
	if (!completion_done(&owner.done))
		KUNIT_EXPECT_NE(test, 0UL,
				wait_for_completion_timeout(&owner.done, LONG_TIME));

	KUNIT_EXPECT_FALSE(test, fake.mem[0].shared);
	KUNIT_EXPECT_EQ(test, fake.mem[0].num_reclaimed, 1);
}

/* The other way round, shutdown waits for the owner, whom nobody counts. */
static void tstee_owner_meets_shutdown(struct kunit *test)
{
	static struct task down, owner;

	share(test, 1);
	fake.block = 0;

	task_start(test, &owner, do_free);
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&fake.blocked, LONG_TIME));
	task_start(test, &down, do_shutdown);
	KUNIT_EXPECT_EQ_MSG(test, 0UL,
			    wait_for_completion_timeout(&down.done, SHORT_TIME),
			    "went down while it is shared");

	fake.block = -1;
	complete_all(&fake.unblock);
	KUNIT_EXPECT_NE(test, 0UL,
			wait_for_completion_timeout(&owner.done, 2 * LONG_TIME));
	if (!completion_done(&down.done))
		KUNIT_EXPECT_NE(test, 0UL,
				wait_for_completion_timeout(&down.done, LONG_TIME));

	KUNIT_EXPECT_FALSE(test, fake.mem[0].shared);
	KUNIT_EXPECT_EQ(test, fake.mem[0].num_reclaimed, 1);
}

/* The partition does not answer: that keeps the memory, and nothing else */
static void tstee_shutdown_limit(struct kunit *test)
{
	struct tstee_test *t = test->priv;
	unsigned long start;

	share(test, 1);
	fake.block = 0;

	start = jiffies;
	shutdown(t->ffa_dev);
	KUNIT_EXPECT_LT(test, jiffies - start, (unsigned long)HZ);
	KUNIT_EXPECT_TRUE(test, fake.mem[0].shared);

	fake.block = -1;
	complete_all(&fake.unblock);
	/* Its owner waits until it is back */
	unshare(test, 0);
	KUNIT_EXPECT_FALSE(test, fake.mem[0].shared);
	KUNIT_EXPECT_EQ(test, fake.mem[0].num_reclaimed, 1);
}

static int do_alloc(struct tstee_test *t)
{
	t->late = tee_shm_alloc_kernel_buf(t->ctx, PAGE_SIZE);
	return 0;
}

/* Memory that a call shares which the shutdown gave up on is given back by it */
static void tstee_shutdown_meets_share(struct kunit *test)
{
	struct tstee_test *t = test->priv;
	static struct task client;

	fake.block_share = true;
	task_start(test, &client, do_alloc);
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&fake.blocked, LONG_TIME));
	shutdown(t->ffa_dev);
	KUNIT_ASSERT_EQ(test, fake.num_mem, 0);

	complete_all(&fake.unblock);
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&client.done, LONG_TIME));
	KUNIT_EXPECT_EQ(test, PTR_ERR(t->late), -ENODEV);
	KUNIT_ASSERT_EQ(test, fake.num_mem, 1);
	KUNIT_EXPECT_FALSE(test, fake.mem[0].shared);
	KUNIT_EXPECT_EQ(test, fake.mem[0].num_reclaimed, 1);
	if (!IS_ERR_OR_NULL(t->late))
		tee_shm_free(t->late);
}

static int tstee_test_init(struct kunit *test)
{
	const struct ffa_partition_info info = {
		.id = FAKE_ID,
		.properties = FFA_PARTITION_DIRECT_RECV,
		.uuid = TS_RPC_UUID,
	};
	struct tstee_test *t;

	if (is_kdump_kernel())
		kunit_skip(test, "the driver is not used in a kdump kernel");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	test->priv = t;

	fake = (struct fake_sp){ .keep = -1, .block = -1 };
	init_completion(&fake.blocked);
	init_completion(&fake.unblock);

	t->ffa_dev = ffa_device_register(&info, &fake_ops, NULL);
	if (!t->ffa_dev)
		return -ENODEV;

	t->ctx = tee_client_open_context(NULL, fake_match, NULL, NULL);
	if (IS_ERR(t->ctx)) {
		int rc = PTR_ERR(t->ctx);

		t->ctx = NULL;
		return rc;
	}

	return 0;
}

static void tstee_test_exit(struct kunit *test)
{
	struct tstee_test *t = test->priv;
	int n;

	if (!t || !t->ffa_dev)
		return;

	for (n = 0; n < NUM_HANDLES; n++)
		if (t->shm[n])
			unshare(test, n);
	if (t->ctx)
		tee_client_close_context(t->ctx);
	/* Waits for ever if a context were left, even after a shutdown */
	ffa_device_unregister(t->ffa_dev);
}

static struct kunit_case tstee_test_cases[] = {
	KUNIT_CASE(tstee_shutdown_takes_back),
	KUNIT_CASE(tstee_shutdown_goes_on),
	KUNIT_CASE(tstee_shutdown_refuses),
	KUNIT_CASE(tstee_refused_memory_is_back),
	KUNIT_CASE(tstee_shutdown_meets_owner),
	KUNIT_CASE(tstee_owner_meets_shutdown),
	KUNIT_CASE(tstee_shutdown_limit),
	KUNIT_CASE(tstee_shutdown_meets_share),
	{}
};

static struct kunit_suite tstee_test_suite = {
	.name = "tstee",
	.init = tstee_test_init,
	.exit = tstee_test_exit,
	.test_cases = tstee_test_cases,
};

/* In a kdump kernel the partition is the crashed kernel's, and has its memory. */
static void tstee_kdump_refuses(struct kunit *test)
{
	const struct ffa_partition_info info = {
		.id = FAKE_ID,
		.properties = FFA_PARTITION_DIRECT_RECV,
		.uuid = TS_RPC_UUID,
	};
	struct ffa_device *ffa_dev;

	if (!is_kdump_kernel())
		kunit_skip(test, "this is not a kdump kernel");

	ffa_dev = ffa_device_register(&info, &fake_ops, NULL);
	KUNIT_ASSERT_NOT_NULL(test, ffa_dev);
	KUNIT_EXPECT_FALSE(test, device_is_bound(&ffa_dev->dev));
	ffa_device_unregister(ffa_dev);
}

static struct kunit_case tstee_kdump_cases[] = {
	KUNIT_CASE(tstee_kdump_refuses),
	{}
};

static struct kunit_suite tstee_kdump_suite = {
	.name = "tstee-kdump",
	.test_cases = tstee_kdump_cases,
};

kunit_test_suites(&tstee_test_suite, &tstee_kdump_suite);

MODULE_DESCRIPTION("KUnit tests of the Trusted Services driver");
MODULE_LICENSE("GPL");
