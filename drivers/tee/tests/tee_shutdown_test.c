// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of tee_device_shutdown(), with a fake TEE driver
 */

#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/tee_core.h>
#include <linux/uaccess.h>

#define FAKE_IMPL_ID	0xfa4e

/* More than any of the waits that should end by themselves */
#define LONG_TIME	(10 * HZ)

/* What the fake secure world answers to a call that was woken up */
#define FAKE_ERROR_ABORTED	0xffff000e

/**
 * struct fake_tee - the fake driver and the secure world behind it
 * @teedev:		the device under test
 * @pool:		pool of pages that are registered when allocated
 * @num_contexts:	contexts that were opened and not released
 * @num_sessions:	sessions that were opened and not closed
 * @num_shms:		shared memory that was registered and not unregistered
 * @num_taken:		operations that took hold of something new
 * @num_inside:		of these, the ones being executed
 * @num_shutdowns:	calls of the shutdown operation
 * @entered:		a call has arrived in the secure world and waits there
 * @aborted:		the shutdown operation told calls to go
 * @finish:		lets a call go that doesn't listen to @aborted
 */
struct fake_tee {
	struct tee_device *teedev;
	struct tee_shm_pool pool;
	atomic_t num_contexts;
	atomic_t num_sessions;
	atomic_t num_shms;
	atomic_t num_taken;
	atomic_t num_inside;
	atomic_t num_shutdowns;
	struct completion entered;
	struct completion aborted;
	struct completion finish;
};

enum fake_func {
	FAKE_RETURN,		/* returns at once */
	FAKE_WAIT,		/* waits like for a supplicant */
	FAKE_ALLOC,		/* then needs memory of the driver's own */
	FAKE_HANG,		/* doesn't react to a shutdown */
};

static struct fake_tee *to_fake(struct tee_context *ctx)
{
	return tee_get_drvdata(ctx->teedev);
}

static void fake_enter(struct fake_tee *fake)
{
	atomic_inc(&fake->num_taken);
	atomic_inc(&fake->num_inside);
}

static void fake_leave(struct fake_tee *fake)
{
	atomic_dec(&fake->num_inside);
}

static void fake_get_version(struct tee_device *teedev,
			     struct tee_ioctl_version_data *vers)
{
	*vers = (struct tee_ioctl_version_data){ .impl_id = FAKE_IMPL_ID };
}

static int fake_open(struct tee_context *ctx)
{
	struct fake_tee *fake = to_fake(ctx);

	fake_enter(fake);
	atomic_inc(&fake->num_contexts);
	fake_leave(fake);
	return 0;
}

static void fake_release(struct tee_context *ctx)
{
	atomic_dec(&to_fake(ctx)->num_contexts);
}

static int fake_open_session(struct tee_context *ctx,
			     struct tee_ioctl_open_session_arg *arg,
			     struct tee_param *param)
{
	struct fake_tee *fake = to_fake(ctx);

	fake_enter(fake);
	arg->session = atomic_inc_return(&fake->num_sessions);
	arg->ret = 0;
	fake_leave(fake);
	return 0;
}

static int fake_close_session(struct tee_context *ctx, u32 session)
{
	atomic_dec(&to_fake(ctx)->num_sessions);
	return 0;
}

static int fake_system_session(struct tee_context *ctx, u32 session)
{
	struct fake_tee *fake = to_fake(ctx);

	fake_enter(fake);
	fake_leave(fake);
	return 0;
}

static int fake_alloc(struct tee_context *ctx)
{
	struct tee_shm *shm = tee_shm_alloc_driver_buf(ctx, PAGE_SIZE);

	if (IS_ERR(shm))
		return PTR_ERR(shm);
	tee_shm_free(shm);
	return 0;
}

static int fake_invoke_func(struct tee_context *ctx,
			    struct tee_ioctl_invoke_arg *arg,
			    struct tee_param *param)
{
	struct fake_tee *fake = to_fake(ctx);
	int rc = 0;

	fake_enter(fake);
	arg->ret = 0;
	if (arg->func != FAKE_RETURN)
		complete(&fake->entered);
	if ((arg->func == FAKE_WAIT || arg->func == FAKE_ALLOC) &&
	    wait_for_completion_timeout(&fake->aborted, LONG_TIME))
		arg->ret = FAKE_ERROR_ABORTED;
	if (arg->func == FAKE_ALLOC)
		rc = fake_alloc(ctx);
	if (arg->func == FAKE_HANG)
		wait_for_completion_timeout(&fake->finish, LONG_TIME);
	fake_leave(fake);
	return rc;
}

static int fake_cancel_req(struct tee_context *ctx, u32 cancel_id, u32 session)
{
	struct fake_tee *fake = to_fake(ctx);

	fake_enter(fake);
	fake_leave(fake);
	return 0;
}

static int fake_supp_recv(struct tee_context *ctx, u32 *func, u32 *num_params,
			  struct tee_param *param)
{
	struct fake_tee *fake = to_fake(ctx);
	int rc = -ETIMEDOUT;

	fake_enter(fake);
	complete(&fake->entered);
	if (wait_for_completion_timeout(&fake->aborted, LONG_TIME))
		rc = -ENODEV;
	fake_leave(fake);
	return rc;
}

static int fake_shm_register(struct tee_context *ctx, struct tee_shm *shm,
			     struct page **pages, size_t num_pages,
			     unsigned long start)
{
	struct fake_tee *fake = to_fake(ctx);

	fake_enter(fake);
	atomic_inc(&fake->num_shms);
	fake_leave(fake);
	return 0;
}

static int fake_shm_unregister(struct tee_context *ctx, struct tee_shm *shm)
{
	atomic_dec(&to_fake(ctx)->num_shms);
	return 0;
}

static void fake_shutdown(struct tee_device *teedev)
{
	struct fake_tee *fake = tee_get_drvdata(teedev);

	atomic_inc(&fake->num_shutdowns);
	complete_all(&fake->aborted);
}

static const struct tee_driver_ops fake_ops = {
	.get_version = fake_get_version,
	.open = fake_open,
	.release = fake_release,
	.open_session = fake_open_session,
	.close_session = fake_close_session,
	.system_session = fake_system_session,
	.invoke_func = fake_invoke_func,
	.cancel_req = fake_cancel_req,
	.supp_recv = fake_supp_recv,
	.shm_register = fake_shm_register,
	.shm_unregister = fake_shm_unregister,
	.shutdown = fake_shutdown,
};

static const struct tee_desc fake_desc = {
	.name = "fake-tee",
	.ops = &fake_ops,
	.owner = THIS_MODULE,
};

static int fake_pool_alloc(struct tee_shm_pool *pool, struct tee_shm *shm,
			   size_t size, size_t align)
{
	return tee_dyn_shm_alloc_helper(shm, size, align, fake_shm_register);
}

static void fake_pool_free(struct tee_shm_pool *pool, struct tee_shm *shm)
{
	tee_dyn_shm_free_helper(shm, fake_shm_unregister);
}

static const struct tee_shm_pool_ops fake_pool_ops = {
	.alloc = fake_pool_alloc,
	.free = fake_pool_free,
};

static int fake_match(struct tee_ioctl_version_data *vers, const void *data)
{
	return vers->impl_id == FAKE_IMPL_ID;
}

static struct tee_context *fake_open_context(void)
{
	return tee_client_open_context(NULL, fake_match, NULL, NULL);
}

static int fake_session(struct tee_context *ctx, u32 *session)
{
	struct tee_ioctl_open_session_arg arg = { };
	int rc;

	rc = tee_client_open_session(ctx, &arg, NULL);
	*session = arg.session;
	return rc;
}

static int fake_invoke(struct tee_context *ctx, enum fake_func func, u32 *ret)
{
	struct tee_ioctl_invoke_arg arg = { .func = func };
	int rc;

	rc = tee_client_invoke_func(ctx, &arg, NULL);
	*ret = arg.ret;
	return rc;
}

/* A task that makes one call and keeps what it returned */
struct caller {
	struct fake_tee *fake;
	struct tee_context *ctx;
	enum fake_func func;
	unsigned int cmd;
	struct mm_struct *mm;
	unsigned long uarg;
	struct completion done;
	int rc;
	u32 ret;
};

static int caller_invoke(void *data)
{
	struct caller *c = data;

	c->rc = fake_invoke(c->ctx, c->func, &c->ret);
	complete(&c->done);
	return 0;
}

static long fake_ioctl(struct kunit *test, struct tee_context *ctx,
		       unsigned int cmd, unsigned long uarg)
{
	struct fake_tee *fake = test->priv;
	struct file *filp = kunit_kzalloc(test, sizeof(*filp), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, filp);
	filp->private_data = ctx;
	return fake->teedev->cdev.ops->unlocked_ioctl(filp, cmd, uarg);
}

static void run_caller(struct kunit *test, struct caller *c,
		       int (*fn)(void *data))
{
	struct task_struct *task;

	c->fake = test->priv;
	init_completion(&c->done);
	task = kthread_run(fn, c, "tee-caller");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&c->fake->entered,
						    LONG_TIME));
}

static void wait_caller(struct kunit *test, struct caller *c)
{
	KUNIT_ASSERT_NE(test, 0UL,
			wait_for_completion_timeout(&c->done, 2 * LONG_TIME));
}

/* All that takes hold of something new fails, without entering the driver */
static void tee_shutdown_refuses_new_calls(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_ioctl_cancel_arg cancel = { };
	struct tee_context *ctx;
	struct inode *inode;
	struct file *filp;
	struct tee_shm *shm;
	u32 session, ret;
	int taken;
	void *buf;

	inode = kunit_kzalloc(test, sizeof(*inode), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, inode);
	inode->i_cdev = &fake->teedev->cdev;
	filp = kunit_kzalloc(test, sizeof(*filp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, filp);
	buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);

	ctx = fake_open_context();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	KUNIT_ASSERT_EQ(test, fake_session(ctx, &session), 0);
	KUNIT_EXPECT_EQ(test, fake_invoke(ctx, FAKE_RETURN, &ret), 0);

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	taken = atomic_read(&fake->num_taken);

	/* Clients in the kernel */
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(teedev_open(fake->teedev)),
			-ENODEV);
	KUNIT_EXPECT_TRUE(test, IS_ERR(fake_open_context()));
	KUNIT_EXPECT_EQ(test, fake_session(ctx, &ret), -ENODEV);
	KUNIT_EXPECT_EQ(test, fake_invoke(ctx, FAKE_RETURN, &ret), -ENODEV);
	KUNIT_EXPECT_EQ(test, tee_client_system_session(ctx, session), -ENODEV);
	KUNIT_EXPECT_EQ(test, tee_client_cancel_req(ctx, &cancel), -ENODEV);
	shm = tee_shm_alloc_kernel_buf(ctx, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -ENODEV);
	shm = tee_shm_register_kernel_buf(ctx, buf, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -ENODEV);
	shm = tee_shm_register_fd(ctx, 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -ENODEV);

	/* Clients in user space */
	KUNIT_EXPECT_EQ(test, fake->teedev->cdev.ops->open(inode, filp),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, fake_ioctl(test, ctx, TEE_IOC_VERSION, 0),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, fake_ioctl(test, ctx, TEE_IOC_INVOKE, 0),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, fake_ioctl(test, ctx, TEE_IOC_SUPPL_RECV, 0),
			-ENODEV);

	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_taken), taken);

	tee_client_close_session(ctx, session);
	tee_client_close_context(ctx);
}

/* What gives something back reaches the driver, once, also after shutdown */
static void tee_shutdown_allows_release(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_shm *shm, *reg_shm;
	struct tee_context *ctx;
	struct inode *inode;
	struct file *filp;
	u32 session;
	void *buf;
	u8 *va;

	inode = kunit_kzalloc(test, sizeof(*inode), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, inode);
	inode->i_cdev = &fake->teedev->cdev;
	filp = kunit_kzalloc(test, sizeof(*filp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, filp);
	buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);

	KUNIT_ASSERT_EQ(test, fake->teedev->cdev.ops->open(inode, filp), 0);
	ctx = fake_open_context();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	KUNIT_ASSERT_EQ(test, fake_session(ctx, &session), 0);
	shm = tee_shm_alloc_kernel_buf(ctx, PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	reg_shm = tee_shm_register_kernel_buf(ctx, buf, PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, reg_shm);

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);

	/* Nothing was taken away from its owner */
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_sessions), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_shms), 2);
	va = tee_shm_get_va(shm, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, va);
	memset(va, 0xa5, PAGE_SIZE);

	tee_shm_free(reg_shm);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_shms), 1);
	KUNIT_EXPECT_EQ(test, tee_client_close_session(ctx, session), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_sessions), 0);
	/* The memory outlives the context it was allocated in */
	tee_client_close_context(ctx);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts), 2);
	tee_shm_free(shm);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_shms), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts), 1);
	fake->teedev->cdev.ops->release(inode, filp);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts), 0);
}

/* The last one to release the context is the one that the driver hears of */
static void tee_shutdown_any_order(struct kunit *test)
{
	/* Shared memory, session, context; a session goes before its context */
	static const char *const orders[] = { "msc", "smc", "scm" };
	struct fake_tee *fake = test->priv;
	struct {
		struct tee_context *ctx;
		struct tee_shm *shm;
		u32 session;
	} c[ARRAY_SIZE(orders)];
	const char *what;
	int n;

	for (n = 0; n < ARRAY_SIZE(orders); n++) {
		c[n].ctx = fake_open_context();
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c[n].ctx);
		c[n].shm = tee_shm_alloc_kernel_buf(c[n].ctx, PAGE_SIZE);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c[n].shm);
		KUNIT_ASSERT_EQ(test, fake_session(c[n].ctx, &c[n].session), 0);
	}

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);

	for (n = 0; n < ARRAY_SIZE(orders); n++) {
		for (what = orders[n]; *what; what++) {
			KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts),
					ARRAY_SIZE(orders) - n);
			if (*what == 'm')
				tee_shm_free(c[n].shm);
			else if (*what == 's')
				tee_client_close_session(c[n].ctx, c[n].session);
			else
				tee_client_close_context(c[n].ctx);
		}
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts),
				ARRAY_SIZE(orders) - n - 1);
	}
}

/* A call that waits in the driver is woken up, and knows what for */
static void tee_shutdown_wakes_invoke(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct caller c = { .func = FAKE_WAIT };
	unsigned long start;

	c.ctx = fake_open_context();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c.ctx);
	run_caller(test, &c, caller_invoke);

	start = jiffies;
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_LT(test, jiffies - start, (unsigned long)HZ);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_inside), 0);

	wait_caller(test, &c);
	KUNIT_EXPECT_EQ(test, c.rc, -ENODEV);
	KUNIT_EXPECT_EQ(test, c.ret, FAKE_ERROR_ABORTED);
	tee_client_close_context(c.ctx);
}

/* A call that was let in gets the memory that the driver needs for it */
static void tee_shutdown_allows_driver(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct caller c = { .func = FAKE_ALLOC };

	c.ctx = fake_open_context();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c.ctx);
	run_caller(test, &c, caller_invoke);

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	wait_caller(test, &c);
	KUNIT_EXPECT_EQ(test, c.rc, -ENODEV);
	KUNIT_EXPECT_EQ(test, c.ret, FAKE_ERROR_ABORTED);
	tee_client_close_context(c.ctx);
}

static int caller_ioctl(void *data)
{
	struct caller *c = data;
	struct file *filp = kzalloc_obj(*filp);

	c->rc = -ENOMEM;
	if (filp) {
		filp->private_data = c->ctx;
		kthread_use_mm(c->mm);
		c->rc = c->fake->teedev->cdev.ops->unlocked_ioctl(filp,
							c->cmd, c->uarg);
		kthread_unuse_mm(c->mm);
		kfree(filp);
	}
	complete(&c->done);
	return 0;
}

/* So is a supplicant that waits for something to do */
static void tee_shutdown_wakes_supplicant(struct kunit *test)
{
	struct {
		struct tee_ioctl_buf_data buf;
		struct tee_iocl_supp_recv_arg arg;
		struct tee_ioctl_param param;
	} data = { .arg.num_params = 1 };
	struct fake_tee *fake = test->priv;
	struct caller c = { .cmd = TEE_IOC_SUPPL_RECV };

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	c.mm = current->mm;
	c.uarg = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, c.uarg, 0UL);
	data.buf.buf_ptr = c.uarg + sizeof(data.buf);
	data.buf.buf_len = sizeof(data.arg) + sizeof(data.param);
	KUNIT_ASSERT_EQ(test, 0UL,
			copy_to_user((void __user *)c.uarg, &data,
				     sizeof(data)));

	c.ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c.ctx);
	run_caller(test, &c, caller_ioctl);

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_inside), 0);

	wait_caller(test, &c);
	KUNIT_EXPECT_EQ(test, c.rc, -ENODEV);
	teedev_close_context(c.ctx);
}

/* Memory of user space that comes when the test likes: page faults wait */
struct slow_memory {
	struct fake_tee *fake;
	struct page *page;
};

static vm_fault_t slow_fault(struct vm_fault *vmf)
{
	struct slow_memory *slow = vmf->vma->vm_private_data;

	complete(&slow->fake->entered);
	wait_for_completion_timeout(&slow->fake->finish, LONG_TIME);
	get_page(slow->page);
	vmf->page = slow->page;
	return 0;
}

static const struct vm_operations_struct slow_vm_ops = { .fault = slow_fault };

static int slow_mmap(struct file *filp, struct vm_area_struct *vma)
{
	vma->vm_private_data = filp->private_data;
	vma->vm_ops = &slow_vm_ops;
	return 0;
}

static const struct file_operations slow_fops = { .mmap = slow_mmap };

static void slow_put_file(void *filp)
{
	fput(filp);
}

static void slow_put_page(void *page)
{
	put_page(page);
}

static unsigned long slow_memory(struct kunit *test)
{
	struct slow_memory *slow = kunit_kzalloc(test, sizeof(*slow), GFP_KERNEL);
	unsigned long addr;
	struct file *filp;

	KUNIT_ASSERT_NOT_NULL(test, slow);
	slow->fake = test->priv;
	slow->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, slow->page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, slow_put_page, slow->page));
	filp = anon_inode_getfile("tee-slow", &slow_fops, slow, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, filp);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, slow_put_file, filp));
	addr = kunit_vm_mmap(test, filp, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED, 0);
	KUNIT_ASSERT_NE(test, addr, 0UL);
	return addr;
}

/* Nobody waits for a caller that waits for his own memory; it is late, then */
static void shut_down_without(struct kunit *test, struct caller *c)
{
	struct fake_tee *fake = test->priv;
	unsigned long start;
	int taken;

	c->mm = current->mm;
	c->ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c->ctx);
	taken = atomic_read(&fake->num_taken);
	run_caller(test, c, caller_ioctl);

	start = jiffies;
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_LT(test, jiffies - start, (unsigned long)HZ / 4);

	complete(&fake->finish);
	wait_caller(test, c);
	KUNIT_EXPECT_EQ(test, c->rc, -ENODEV);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_taken), taken);
	teedev_close_context(c->ctx);
}

static void tee_shutdown_slow_argument(struct kunit *test)
{
	struct caller c = { .cmd = TEE_IOC_INVOKE };
	struct tee_ioctl_buf_data buf = {
		.buf_len = sizeof(struct tee_ioctl_invoke_arg),
	};

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	c.uarg = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, c.uarg, 0UL);
	/* Zeros, that is FAKE_RETURN and no parameters */
	buf.buf_ptr = slow_memory(test);
	KUNIT_ASSERT_EQ(test, 0UL,
			copy_to_user((void __user *)c.uarg, &buf, sizeof(buf)));
	shut_down_without(test, &c);
}

static void tee_shutdown_slow_buffer(struct kunit *test)
{
	struct caller c = { .cmd = TEE_IOC_SHM_REGISTER };
	struct tee_ioctl_shm_register_data data = { .length = PAGE_SIZE };

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	c.uarg = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, c.uarg, 0UL);
	data.addr = slow_memory(test);
	KUNIT_ASSERT_EQ(test, 0UL,
			copy_to_user((void __user *)c.uarg, &data, sizeof(data)));
	shut_down_without(test, &c);
}

/* A call that doesn't come back is given up, and does no harm afterwards */
static void tee_shutdown_gives_up(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct caller c = { .func = FAKE_HANG };
	unsigned long start;

	c.ctx = fake_open_context();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c.ctx);
	run_caller(test, &c, caller_invoke);

	start = jiffies;
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), -ETIMEDOUT);
	KUNIT_EXPECT_LT(test, jiffies - start, (unsigned long)HZ);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_inside), 1);

	complete(&fake->finish);
	wait_caller(test, &c);
	KUNIT_EXPECT_EQ(test, c.rc, 0);
	KUNIT_EXPECT_EQ(test, c.ret, 0U);
	/* All have left by now */
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	tee_client_close_context(c.ctx);
}

static void tee_shutdown_twice(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(NULL), 0);
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_shutdowns), 1);
}

static int caller_loop(void *data)
{
	struct caller *c = data;
	struct tee_context *ctx;
	struct tee_shm *shm;
	u32 session, ret;

	complete(&c->fake->entered);
	do {
		ctx = teedev_open(c->fake->teedev);
		if (IS_ERR(ctx)) {
			c->rc = PTR_ERR(ctx);
			break;
		}
		shm = tee_shm_alloc_kernel_buf(ctx, PAGE_SIZE);
		c->rc = fake_session(ctx, &session);
		if (!c->rc) {
			c->rc = fake_invoke(ctx, FAKE_RETURN, &ret);
			tee_client_close_session(ctx, session);
		}
		if (!IS_ERR(shm))
			tee_shm_free(shm);
		tee_client_close_context(ctx);
		cond_resched();
	} while (!c->rc);
	complete(&c->done);
	return 0;
}

/* As caller_loop(), by ioctl and with memory that is registered */
static int caller_loop_ioctl(void *data)
{
	void *buf __free(kfree) = kzalloc(PAGE_SIZE, GFP_KERNEL);
	struct file *filp __free(kfree) = kzalloc_obj(*filp);
	struct caller *c = data;
	struct tee_shm *shm;

	complete(&c->fake->entered);
	c->rc = buf && filp ? 0 : -ENOMEM;
	if (filp)
		filp->private_data = c->ctx;
	kthread_use_mm(c->mm);
	while (!c->rc) {
		shm = tee_shm_register_kernel_buf(c->ctx, buf, PAGE_SIZE);
		c->rc = c->fake->teedev->cdev.ops->unlocked_ioctl(filp,
						TEE_IOC_INVOKE, c->uarg);
		if (!IS_ERR(shm))
			tee_shm_free(shm);
		cond_resched();
	}
	kthread_unuse_mm(c->mm);
	complete(&c->done);
	return 0;
}

/* Clients that are busy see the shutdown at any point of what they do */
static void tee_shutdown_races(struct kunit *test)
{
	struct {
		struct tee_ioctl_buf_data buf;
		struct tee_ioctl_invoke_arg arg;
	} data = { .arg.func = FAKE_RETURN };
	struct fake_tee *fake = test->priv;
	struct caller callers[6] = { };
	struct caller *c;
	int n, taken;

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	for (n = 0; n < ARRAY_SIZE(callers); n++) {
		c = &callers[n];
		if (n % 2) {
			run_caller(test, c, caller_loop);
			continue;
		}
		c->mm = current->mm;
		c->uarg = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE,
					PROT_READ | PROT_WRITE,
					MAP_ANONYMOUS | MAP_PRIVATE, 0);
		KUNIT_ASSERT_NE(test, c->uarg, 0UL);
		data.buf.buf_ptr = c->uarg + sizeof(data.buf);
		data.buf.buf_len = sizeof(data.arg);
		KUNIT_ASSERT_EQ(test, 0UL,
				copy_to_user((void __user *)c->uarg, &data,
					     sizeof(data)));
		c->ctx = teedev_open(fake->teedev);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c->ctx);
		run_caller(test, c, caller_loop_ioctl);
	}
	msleep(50);

	KUNIT_EXPECT_EQ(test, tee_device_shutdown(fake->teedev), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_inside), 0);
	taken = atomic_read(&fake->num_taken);
	KUNIT_EXPECT_GT(test, taken, 0);

	for (n = 0; n < ARRAY_SIZE(callers); n++) {
		wait_caller(test, &callers[n]);
		KUNIT_EXPECT_EQ(test, callers[n].rc, -ENODEV);
		if (callers[n].ctx)
			teedev_close_context(callers[n].ctx);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_taken), taken);
}

static int tee_shutdown_test_init(struct kunit *test)
{
	struct fake_tee *fake;

	fake = kzalloc_obj(*fake);
	if (!fake)
		return -ENOMEM;

	init_completion(&fake->entered);
	init_completion(&fake->aborted);
	init_completion(&fake->finish);
	fake->pool.ops = &fake_pool_ops;
	fake->teedev = tee_device_alloc(&fake_desc, NULL, &fake->pool, fake);
	if (IS_ERR(fake->teedev)) {
		int rc = PTR_ERR(fake->teedev);

		kfree(fake);
		return rc;
	}

	test->priv = fake;
	return tee_device_register(fake->teedev);
}

/*
 * Each test ends with a device that was shut down and is removed: that must
 * not wait for anything once the clients are gone.
 */
static void tee_shutdown_test_exit(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	if (!fake)
		return;

	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_sessions), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_shms), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->num_contexts), 0);
	if (atomic_read(&fake->num_contexts))
		return; /* It would wait forever: rather leak the device */

	tee_device_unregister(fake->teedev);
	kfree(fake);
}

static struct kunit_case tee_shutdown_test_cases[] = {
	KUNIT_CASE(tee_shutdown_refuses_new_calls),
	KUNIT_CASE(tee_shutdown_allows_release),
	KUNIT_CASE(tee_shutdown_any_order),
	KUNIT_CASE(tee_shutdown_wakes_invoke),
	KUNIT_CASE(tee_shutdown_allows_driver),
	KUNIT_CASE(tee_shutdown_wakes_supplicant),
	KUNIT_CASE(tee_shutdown_slow_argument),
	KUNIT_CASE(tee_shutdown_slow_buffer),
	KUNIT_CASE(tee_shutdown_gives_up),
	KUNIT_CASE(tee_shutdown_twice),
	KUNIT_CASE(tee_shutdown_races),
	{}
};

static struct kunit_suite tee_shutdown_test_suite = {
	.name = "tee_shutdown",
	.init = tee_shutdown_test_init,
	.exit = tee_shutdown_test_exit,
	.test_cases = tee_shutdown_test_cases,
};

kunit_test_suite(tee_shutdown_test_suite);

MODULE_DESCRIPTION("KUnit tests of the shutdown of a TEE device");
MODULE_LICENSE("GPL");
