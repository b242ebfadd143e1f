// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of shared memory: what becomes of it if a fake TEE driver does
 * not register it, when it is unregistered, and when it is not
 */

#include <kunit/test.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/tee_core.h>
#include <linux/uaccess.h>
#include "../tee_private.h"

#define FAKE_IMPL_ID	0xfa4f

#define MAX_PAGES	8

/**
 * struct fake_tee - the fake driver and the secure world behind it
 * @teedev:		the device under test
 * @pool:		pool of pages that are registered when allocated
 * @error:		what registering and unregistering memory returns
 * @hold:		take a reference to each page that comes by
 * @pages:		the pages of the last call to register memory
 * @num_pages:		how many of them
 * @num_tries:		calls to register memory
 * @num_shms:		shared memory that was registered and not unregistered
 * @num_contexts:	contexts that were opened and not released
 */
struct fake_tee {
	struct tee_device *teedev;
	struct tee_shm_pool pool;
	int error;
	bool hold;
	struct page *pages[MAX_PAGES];
	size_t num_pages;
	int num_tries;
	int num_shms;
	int num_contexts;
};

static struct fake_tee *to_fake(struct tee_context *ctx)
{
	return tee_get_drvdata(ctx->teedev);
}

static void fake_get_version(struct tee_device *teedev,
			     struct tee_ioctl_version_data *vers)
{
	*vers = (struct tee_ioctl_version_data){
		.impl_id = FAKE_IMPL_ID,
		.gen_caps = TEE_GEN_CAP_REG_MEM,
	};
}

static int fake_open(struct tee_context *ctx)
{
	to_fake(ctx)->num_contexts++;
	return 0;
}

static void fake_release(struct tee_context *ctx)
{
	to_fake(ctx)->num_contexts--;
}

static int fake_shm_register(struct tee_context *ctx, struct tee_shm *shm,
			     struct page **pages, size_t num_pages,
			     unsigned long start)
{
	struct fake_tee *fake = to_fake(ctx);

	fake->num_tries++;
	fake->num_pages = min(num_pages, MAX_PAGES);
	for (size_t n = 0; n < fake->num_pages; n++) {
		fake->pages[n] = pages[n];
		if (fake->hold)
			get_page(pages[n]);
	}
	if (!fake->error)
		fake->num_shms++;
	return fake->error;
}

static int fake_shm_unregister(struct tee_context *ctx, struct tee_shm *shm)
{
	to_fake(ctx)->num_shms--;
	return to_fake(ctx)->error;
}

static const struct tee_driver_ops fake_ops = {
	.get_version = fake_get_version,
	.open = fake_open,
	.release = fake_release,
	.shm_register = fake_shm_register,
	.shm_unregister = fake_shm_unregister,
};

static const struct tee_desc fake_desc = {
	.name = "fake-shm-tee",
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

/*
 * The last pages that came by belong to nobody any more but to the reference
 * that was taken then: that is dropped.
 */
static void expect_freed(struct kunit *test, size_t num_pages)
{
	struct fake_tee *fake = test->priv;

	KUNIT_EXPECT_EQ(test, fake->num_pages, num_pages);
	for (size_t n = 0; n < fake->num_pages; n++) {
		KUNIT_EXPECT_EQ(test, page_count(fake->pages[n]), 1);
		put_page(fake->pages[n]);
	}
	fake->num_pages = 0;
}

/* Memory that can't be registered is freed, and nothing stays in use */
static void tee_shm_alloc_not_registered(struct kunit *test)
{
	static const size_t sizes[] = { 1, PAGE_SIZE, 3 * PAGE_SIZE + 1 };
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;
	size_t num_users;

	fake->hold = true;
	fake->error = -EIO;
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	num_users = fake->teedev->num_users;

	for (int n = 0; n < ARRAY_SIZE(sizes); n++) {
		size_t num_pages = DIV_ROUND_UP(sizes[n], PAGE_SIZE);

		shm = tee_shm_alloc_kernel_buf(ctx, sizes[n]);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -EIO);
		expect_freed(test, num_pages);
		shm = tee_shm_alloc_priv_buf(ctx, sizes[n]);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -EIO);
		expect_freed(test, num_pages);
	}

	KUNIT_EXPECT_EQ(test, fake->num_tries, 2 * (int)ARRAY_SIZE(sizes));
	KUNIT_EXPECT_EQ(test, fake->teedev->num_users, num_users);
	teedev_close_context(ctx);
}

/* Memory of nothing is refused before anybody is asked */
static void tee_shm_alloc_nothing(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;
	size_t num_users;

	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	num_users = fake->teedev->num_users;

	shm = tee_shm_alloc_kernel_buf(ctx, 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -EINVAL);
	KUNIT_EXPECT_EQ(test, fake->num_tries, 0);
	KUNIT_EXPECT_EQ(test, fake->teedev->num_users, num_users);
	teedev_close_context(ctx);
}

/* Memory of a client in the kernel, all the same, but that is the client's */
static void tee_shm_kernel_buf_not_registered(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;
	size_t num_users;
	void *buf;

	buf = kunit_kzalloc(test, 3 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	fake->error = -EIO;
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	num_users = fake->teedev->num_users;

	shm = tee_shm_register_kernel_buf(ctx, buf, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(shm), -EIO);
	KUNIT_EXPECT_EQ(test, fake->num_tries, 1);
	KUNIT_EXPECT_EQ(test, fake->teedev->num_users, num_users);
	teedev_close_context(ctx);
}

/* Memory of user space is no longer pinned, and its id is free */
static void tee_shm_user_buf_not_registered(struct kunit *test)
{
	struct tee_ioctl_shm_register_data data = { .length = 3 * PAGE_SIZE };
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	unsigned long uarg;
	struct file *filp;
	size_t num_users;
	long rc;

	filp = kunit_kzalloc(test, sizeof(*filp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, filp);
	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	uarg = kunit_vm_mmap(test, NULL, 0, 4 * PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, uarg, 0UL);
	data.addr = uarg + PAGE_SIZE;
	KUNIT_ASSERT_EQ(test, copy_to_user((void __user *)uarg, &data,
					   sizeof(data)), 0UL);

	fake->error = -EIO;
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	num_users = fake->teedev->num_users;
	filp->private_data = ctx;

	rc = fake->teedev->cdev.ops->unlocked_ioctl(filp, TEE_IOC_SHM_REGISTER,
						    uarg);
	KUNIT_EXPECT_EQ(test, rc, -EIO);
	KUNIT_EXPECT_EQ(test, fake->num_pages, 3UL);
	/* They are mapped, so they are still there */
	for (size_t n = 0; n < fake->num_pages; n++) {
		struct folio *folio = page_folio(fake->pages[n]);

		KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(folio));
	}
	KUNIT_EXPECT_TRUE(test, idr_is_empty(&fake->teedev->idr));
	KUNIT_EXPECT_EQ(test, fake->teedev->num_users, num_users);
	teedev_close_context(ctx);
}

/*
 * Several pages for a driver are registered at once and without anything that
 * user space could have a file descriptor of: such a file is released later, by
 * which time the machine may be down. Freeing unregisters them, there and then.
 */
static void tee_shm_free_unregisters(struct kunit *test)
{
	struct tee_shm *(*const alloc[])(struct tee_context *ctx, size_t size) = {
		tee_shm_alloc_kernel_buf, tee_shm_alloc_priv_buf,
	};
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;
	u8 *va;

	fake->hold = true;
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);

	for (int n = 0; n < ARRAY_SIZE(alloc); n++) {
		shm = alloc[n](ctx, 3 * PAGE_SIZE);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
		KUNIT_EXPECT_EQ(test, fake->num_tries, n + 1);
		KUNIT_EXPECT_EQ(test, fake->num_shms, 1);
		KUNIT_EXPECT_LT(test, shm->id, 0);
		KUNIT_EXPECT_TRUE(test, idr_is_empty(&fake->teedev->idr));
		KUNIT_EXPECT_FALSE(test, shm->flags & (TEE_SHM_DMA_BUF |
						       TEE_SHM_USER_MAPPED));
		va = tee_shm_get_va(shm, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, va);
		memset(va, 0xa5, 3 * PAGE_SIZE);

		tee_shm_free(shm);
		KUNIT_EXPECT_EQ(test, fake->num_shms, 0);
		expect_freed(test, 3);
	}
	teedev_close_context(ctx);
}

/* What the TEE does not give back is nobody's: it may still write there. */
static void tee_shm_alloc_kept(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;

	fake->hold = true;
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	shm = tee_shm_alloc_kernel_buf(ctx, 3 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);

	fake->error = -EBUSY;
	tee_shm_free(shm);
	KUNIT_EXPECT_EQ(test, fake->num_pages, 3UL);
	for (size_t n = 0; n < fake->num_pages; n++) {
		int count = page_count(fake->pages[n]);

		KUNIT_EXPECT_EQ(test, count, 2);
		/* The test is done with it, and so is the TEE */
		while (count--)
			put_page(fake->pages[n]);
	}
	teedev_close_context(ctx);
}

static void tee_shm_user_buf_kept(struct kunit *test)
{
	struct fake_tee *fake = test->priv;
	struct tee_context *ctx;
	struct tee_shm *shm;
	unsigned long addr;

	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	addr = kunit_vm_mmap(test, NULL, 0, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, addr, 0UL);
	ctx = teedev_open(fake->teedev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx);
	shm = tee_shm_register_user_buf(ctx, addr, 3 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);

	fake->error = -EBUSY;
	tee_shm_put(shm);
	KUNIT_EXPECT_EQ(test, fake->num_pages, 3UL);
	for (size_t n = 0; n < fake->num_pages; n++) {
		struct folio *folio = page_folio(fake->pages[n]);

		KUNIT_EXPECT_TRUE(test, folio_maybe_dma_pinned(folio));
		if (folio_maybe_dma_pinned(folio))
			unpin_user_page(fake->pages[n]);
	}
	teedev_close_context(ctx);
}

static int tee_shm_test_init(struct kunit *test)
{
	struct fake_tee *fake;

	fake = kzalloc_obj(*fake);
	if (!fake)
		return -ENOMEM;

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

static void tee_shm_test_exit(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	if (!fake)
		return;

	KUNIT_EXPECT_EQ(test, fake->num_shms, 0);
	KUNIT_EXPECT_EQ(test, fake->num_contexts, 0);
	KUNIT_EXPECT_EQ(test, fake->teedev->num_users, 1UL);
	if (fake->teedev->num_users > 1)
		return; /* It would wait forever: rather leak the device */

	tee_device_unregister(fake->teedev);
	kfree(fake);
}

static struct kunit_case tee_shm_test_cases[] = {
	KUNIT_CASE(tee_shm_alloc_not_registered),
	KUNIT_CASE(tee_shm_alloc_nothing),
	KUNIT_CASE(tee_shm_kernel_buf_not_registered),
	KUNIT_CASE(tee_shm_user_buf_not_registered),
	KUNIT_CASE(tee_shm_free_unregisters),
	KUNIT_CASE(tee_shm_alloc_kept),
	KUNIT_CASE(tee_shm_user_buf_kept),
	{}
};

static struct kunit_suite tee_shm_test_suite = {
	.name = "tee_shm",
	.init = tee_shm_test_init,
	.exit = tee_shm_test_exit,
	.test_cases = tee_shm_test_cases,
};

kunit_test_suite(tee_shm_test_suite);

MODULE_DESCRIPTION("KUnit tests of the shared memory of a TEE device");
MODULE_LICENSE("GPL");
