// SPDX-License-Identifier: MIT
/*
 * KUnit tests of the ring buffer for TEE commands, with a fake PSP
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/psp.h>
#include <linux/psp-tee.h>
#include <linux/slab.h>

#include "psp-dev.h"
#include "tee-dev.h"

/* What the PSP says about each command */
#define FAKE_STATUS	0x1234

/* More than the time limits of the ring, and less than nothing happens in */
#define LONG_TIME	(60 * HZ)
#define SHORT_TIME	(HZ / 5)

enum fake_reg {
	FAKE_REG_NONE,		/* an offset of 0 means that there is none */
	FAKE_REG_CMDRESP,
	FAKE_REG_CMDBUFF_LO,
	FAKE_REG_CMDBUFF_HI,
	FAKE_REG_WPTR,
	FAKE_REG_RPTR,
	FAKE_REG_NUM
};

static const struct tee_vdata fake_tee_vdata = {
	.ring_wptr_reg = FAKE_REG_WPTR * sizeof(u32),
	.ring_rptr_reg = FAKE_REG_RPTR * sizeof(u32),
};

static struct psp_vdata fake_psp_vdata = {
	.tee = &fake_tee_vdata,
	.cmdresp_reg = FAKE_REG_CMDRESP * sizeof(u32),
	.cmdbuff_addr_lo_reg = FAKE_REG_CMDBUFF_LO * sizeof(u32),
	.cmdbuff_addr_hi_reg = FAKE_REG_CMDBUFF_HI * sizeof(u32),
};

/**
 * struct fake_psp - the fake PSP and the driver's idea of it
 * @psp:	device under test
 * @reg:	registers
 * @answer:	the PSP answers the commands in the ring
 * @task:	the PSP
 */
struct fake_psp {
	struct psp_device psp;
	u32 reg[FAKE_REG_NUM];
	bool answer;
	struct task_struct *task;
};

static void fake_answer(struct fake_psp *fake)
{
	struct psp_tee_device *tee = fake->psp.tee_data;
	u32 rptr = READ_ONCE(fake->reg[FAKE_REG_RPTR]);
	struct tee_ring_cmd *cmd = tee->rb_mgr.ring_start + rptr;

	cmd->status = FAKE_STATUS;
	/* As the PSP, whose answer is there when its state says so */
	smp_store_release(&cmd->cmd_state, TEE_CMD_STATE_COMPLETED);
	rptr += sizeof(*cmd);
	if (rptr >= tee->rb_mgr.ring_size)
		rptr = 0;
	WRITE_ONCE(fake->reg[FAKE_REG_RPTR], rptr);
}

static int fake_psp_fn(void *data)
{
	struct fake_psp *fake = data;

	while (!kthread_should_stop()) {
		/* Every command in the mailbox succeeds */
		if (!FIELD_GET(PSP_CMDRESP_RESP, READ_ONCE(fake->reg[FAKE_REG_CMDRESP])))
			WRITE_ONCE(fake->reg[FAKE_REG_CMDRESP], PSP_CMDRESP_RESP);
		if (READ_ONCE(fake->answer) &&
		    READ_ONCE(fake->reg[FAKE_REG_RPTR]) != READ_ONCE(fake->reg[FAKE_REG_WPTR]))
			fake_answer(fake);
		usleep_range(500, 1000);
	}

	return 0;
}

/* A task that sends a command, or destroys the ring, and what came of it */
struct task {
	struct fake_psp *fake;
	struct completion done;
	int rc;
	u32 status;
};

static int cmd_fn(void *data)
{
	u32 cmd[2] = { };
	struct task *task = data;

	task->rc = tee_process_cmd(task->fake->psp.tee_data, TEE_CMD_ID_CLOSE_SESSION,
				   cmd, sizeof(cmd), &task->status);
	complete(&task->done);

	return 0;
}

static int destroy_fn(void *data)
{
	struct task *task = data;

	tee_dev_destroy(&task->fake->psp);
	complete(&task->done);

	return 0;
}

static void task_start(struct kunit *test, struct task *task, int (*fn)(void *data))
{
	*task = (struct task){ .fake = test->priv };
	init_completion(&task->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(fn, task, "psp-test")));
}

static bool task_ends(struct task *task, unsigned long timeout)
{
	return wait_for_completion_timeout(&task->done, timeout);
}

/* What is in the ring is finished, and only then there is no ring any more */
static void tee_ring_destroy_waits(struct kunit *test)
{
	struct fake_psp *fake = test->priv;
	/* Static: they may outlive a test that fails */
	static struct task before, destroy, after;
	int n;

	task_start(test, &before, cmd_fn);
	for (n = 0; n < 100 && !READ_ONCE(fake->reg[FAKE_REG_WPTR]); n++)
		msleep(20);
	KUNIT_ASSERT_NE(test, fake->reg[FAKE_REG_WPTR], 0);

	task_start(test, &destroy, destroy_fn);
	KUNIT_ASSERT_FALSE_MSG(test, task_ends(&destroy, SHORT_TIME),
			       "destroyed while it is in use");
	/* Waits for its end, like the ring */
	task_start(test, &after, cmd_fn);
	KUNIT_EXPECT_FALSE(test, task_ends(&after, SHORT_TIME));

	WRITE_ONCE(fake->answer, true);
	KUNIT_ASSERT_TRUE(test, task_ends(&before, LONG_TIME));
	KUNIT_EXPECT_EQ(test, before.rc, 0);
	KUNIT_EXPECT_EQ(test, before.status, FAKE_STATUS);
	KUNIT_ASSERT_TRUE(test, task_ends(&destroy, LONG_TIME));
	KUNIT_ASSERT_TRUE(test, task_ends(&after, LONG_TIME));
	KUNIT_EXPECT_EQ(test, after.rc, -ENODEV);
	/* Nothing but the first one has been in the ring */
	KUNIT_EXPECT_EQ(test, fake->reg[FAKE_REG_WPTR], sizeof(struct tee_ring_cmd));
}

/* Commands go through while there is a ring and fail without it */
static void tee_ring_destroyed_refuses(struct kunit *test)
{
	struct fake_psp *fake = test->priv;
	static struct task task;
	int n;

	WRITE_ONCE(fake->answer, true);
	/* More than fit into the ring at once */
	for (n = 0; n < MAX_RING_BUFFER_ENTRIES + 2; n++) {
		task_start(test, &task, cmd_fn);
		KUNIT_ASSERT_TRUE(test, task_ends(&task, LONG_TIME));
		KUNIT_ASSERT_EQ(test, task.rc, 0);
		KUNIT_ASSERT_EQ(test, task.status, FAKE_STATUS);
	}

	tee_dev_destroy(&fake->psp);

	task_start(test, &task, cmd_fn);
	KUNIT_ASSERT_TRUE(test, task_ends(&task, LONG_TIME));
	KUNIT_EXPECT_EQ(test, task.rc, -ENODEV);

	/* As when the device is removed after it was shut down */
	tee_dev_destroy(&fake->psp);
}

static int tee_ring_test_init(struct kunit *test)
{
	struct fake_psp *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	struct device *dev = kunit_device_register(test, "psp-test");

	if (!fake || IS_ERR(dev))
		return -ENOMEM;

	fake->psp.dev = dev;
	fake->psp.vdata = &fake_psp_vdata;
	fake->psp.io_regs = (void __iomem __force *)fake->reg;
	mutex_init(&fake->psp.mailbox_mutex);
	fake->reg[FAKE_REG_CMDRESP] = PSP_CMDRESP_RESP;

	fake->task = kthread_run(fake_psp_fn, fake, "psp-fake");
	if (IS_ERR(fake->task))
		return PTR_ERR(fake->task);
	test->priv = fake;

	return tee_dev_init(&fake->psp);
}

static void tee_ring_test_exit(struct kunit *test)
{
	struct fake_psp *fake = test->priv;

	if (!fake)
		return;

	/* So that no task is left that uses it */
	WRITE_ONCE(fake->answer, true);
	tee_dev_destroy(&fake->psp);
	kthread_stop(fake->task);
}

static struct kunit_case tee_ring_test_cases[] = {
	KUNIT_CASE(tee_ring_destroy_waits),
	KUNIT_CASE(tee_ring_destroyed_refuses),
	{}
};

static struct kunit_suite tee_ring_test_suite = {
	.name = "psp-tee-ring",
	.init = tee_ring_test_init,
	.exit = tee_ring_test_exit,
	.test_cases = tee_ring_test_cases,
};

kunit_test_suite(tee_ring_test_suite);
