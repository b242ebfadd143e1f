// SPDX-License-Identifier: MIT
/*
 * KUnit tests of the memory that is shared with AMD's TEE, with a fake PSP
 */

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/psp.h>
#include <linux/psp-tee.h>
#include <linux/tee_core.h>

#include "amdtee_if.h"
#include "amdtee_private.h"

#define NUM_SHM		3

/* What the TEE says when it does not want to */
#define FAKE_STATUS	0xffff000d

/**
 * struct fake_tee - what the TEE has been told
 * @pool:		where the tests have their memory from
 * @shm:		memory of the pool
 * @paddr:		physical address of each, as the TEE knows it
 * @size:		size of each in bytes, as the TEE knows it
 * @num_mapped:		how many pieces of memory were mapped
 * @num_unmapped:	how often each was unmapped, or was to be
 * @keep:		ID of what the TEE does not unmap, or 0
 * @dead:		the PSP takes no command
 */
struct fake_tee {
	struct tee_shm_pool *pool;
	struct tee_shm shm[NUM_SHM];
	u64 paddr[NUM_SHM];
	u32 size[NUM_SHM];
	u32 num_mapped;
	unsigned int num_unmapped[NUM_SHM];
	u32 keep;
	bool dead;
};

/* The ID of a piece of memory is its place in the arrays, from 1 on. */
static int fake_process_cmd(enum tee_cmd_id cmd_id, void *buf, size_t len, u32 *status)
{
	struct kunit *test = kunit_get_current_test();
	struct fake_tee *fake = test->priv;

	*status = 0;
	if (cmd_id == TEE_CMD_ID_MAP_SHARED_MEM) {
		struct tee_cmd_map_shared_mem *cmd = buf;

		KUNIT_ASSERT_EQ(test, cmd->sg_list.count, 1);
		KUNIT_ASSERT_LT(test, fake->num_mapped, NUM_SHM);
		fake->paddr[fake->num_mapped] = (u64)cmd->sg_list.buf[0].hi_addr << 32 |
						cmd->sg_list.buf[0].low_addr;
		fake->size[fake->num_mapped] = cmd->sg_list.buf[0].size;
		cmd->buf_id = ++fake->num_mapped;
	} else if (cmd_id == TEE_CMD_ID_UNMAP_SHARED_MEM) {
		struct tee_cmd_unmap_shared_mem *cmd = buf;

		/* No assertion: the driver holds its mutex, and would hold it for ever */
		if (!cmd->buf_id || cmd->buf_id > fake->num_mapped) {
			KUNIT_FAIL(test, "unmaps %u, which was not mapped", cmd->buf_id);
			return -EINVAL;
		}
		fake->num_unmapped[cmd->buf_id - 1]++;
		if (cmd->buf_id == fake->keep)
			*status = FAKE_STATUS;
	} else {
		KUNIT_FAIL(test, "unexpected command %d", cmd_id);
	}
	return fake->dead ? -EBUSY : 0;
}

/* What the TEE core does for tee_shm_alloc_kernel_buf(), a page for each. */
static void alloc(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	for (int n = 0; n < NUM_SHM; n++) {
		struct tee_shm *shm = &fake->shm[n];

		KUNIT_ASSERT_EQ(test, fake->pool->ops->alloc(fake->pool, shm, PAGE_SIZE, 0), 0);
		KUNIT_EXPECT_EQ(test, fake->paddr[n], __psp_pa(shm->kaddr));
		KUNIT_EXPECT_EQ(test, fake->size[n], PAGE_SIZE);
	}
}

/*
 * Free one, which must have been asked of the TEE so many times by then. Is the
 * page with the TEE for ever? If so, the test gives it back: the TEE is no real one.
 */
static bool kept(struct kunit *test, int n, unsigned int num_unmapped)
{
	struct fake_tee *fake = test->priv;
	struct page *page = virt_to_page(fake->shm[n].kaddr);
	bool is_kept;

	get_page(page);
	fake->pool->ops->free(fake->pool, &fake->shm[n]);
	KUNIT_EXPECT_EQ(test, fake->num_unmapped[n], num_unmapped);
	KUNIT_EXPECT_NULL(test, fake->shm[n].kaddr);
	is_kept = page_count(page) == 2;
	if (is_kept)
		put_page(page);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	put_page(page);

	return is_kept;
}

static void amdtee_free_unmaps(struct kunit *test)
{
	alloc(test);
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_FALSE(test, kept(test, n, 1));
}

/* What the TEE does not unmap is nobody's: it may still write there. */
static void amdtee_free_kept(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	alloc(test);
	fake->keep = 2;
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_EQ(test, kept(test, n, 1), n == 1);
}

/* Nor is what it does not say that it has unmapped. */
static void amdtee_free_dead(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	alloc(test);
	fake->dead = true;
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_TRUE(test, kept(test, n, 1));
}

/* Shutdown unmaps all, and who frees it later does not do so again. */
static void amdtee_shutdown_unmaps(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	alloc(test);
	amdtee_unmap_all_shmem();
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_EQ(test, fake->num_unmapped[n], 1);
	amdtee_unmap_all_shmem();
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_FALSE(test, kept(test, n, 1));
}

/* One that is kept then does not keep the others, and its owner tries again. */
static void amdtee_shutdown_kept(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	alloc(test);
	fake->keep = 2;
	amdtee_unmap_all_shmem();
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_EQ(test, fake->num_unmapped[n], 1);
	fake->keep = 0;
	for (int n = 0; n < NUM_SHM; n++)
		KUNIT_EXPECT_FALSE(test, kept(test, n, n == 1 ? 2 : 1));
}

static int amdtee_test_init(struct kunit *test)
{
	struct fake_tee *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->pool = amdtee_config_shm();
	KUNIT_ASSERT_FALSE(test, IS_ERR(fake->pool));
	test->priv = fake;
	kunit_activate_static_stub(test, psp_tee_process_cmd, fake_process_cmd);

	return 0;
}

static void amdtee_test_exit(struct kunit *test)
{
	struct fake_tee *fake = test->priv;

	if (!fake)
		return;

	/* A case that failed has not freed all, and the driver has it in its list */
	fake->keep = 0;
	fake->dead = false;
	for (int n = 0; n < NUM_SHM; n++)
		if (fake->shm[n].kaddr)
			fake->pool->ops->free(fake->pool, &fake->shm[n]);
	tee_shm_pool_free(fake->pool);
}

static struct kunit_case amdtee_test_cases[] = {
	KUNIT_CASE(amdtee_free_unmaps),
	KUNIT_CASE(amdtee_free_kept),
	KUNIT_CASE(amdtee_free_dead),
	KUNIT_CASE(amdtee_shutdown_unmaps),
	KUNIT_CASE(amdtee_shutdown_kept),
	{}
};

static struct kunit_suite amdtee_test_suite = {
	.name = "amdtee",
	.init = amdtee_test_init,
	.exit = amdtee_test_exit,
	.test_cases = amdtee_test_cases,
};

kunit_test_suite(amdtee_test_suite);
