// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for DMA of confidential devices: what is decided for a device
 * that a confidential VM has accepted, and for one that it has not.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/irq_work.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "confidential-mapping-test.h"

/**
 * struct ccd_ctx - what each test has
 * @dev: a device without a bus, added, that can address all of the memory
 * @buf: a page that is not anybody else's
 */
struct ccd_ctx {
	struct device *dev;
	void *buf;
};

static struct device *ccd_device(struct kunit *test)
{
	struct device *dev = cc_test_device(test, "confidential-dma");

	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	dev->dma_mask = &dev->coherent_dma_mask;
	dev_set_dma_coherent(dev);
	return dev;
}

static int ccd_init(struct kunit *test)
{
	struct ccd_ctx *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	ctx->buf = (void *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->buf);
	ctx->dev = ccd_device(test);
	return device_add(ctx->dev);
}

static void ccd_exit(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;

	if (!ctx)
		return;
	cc_test_drop(ctx->dev);
	free_page((unsigned long)ctx->buf);
}

/* Where there is no trust boundary, acceptance changes nothing */
static void ccd_outside_of_a_guest(struct kunit *test)
{
	struct device *dev = ((struct ccd_ctx *)test->priv)->dev;
	u64 mask;

	cc_test_guest(test, false);
	KUNIT_EXPECT_FALSE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_FALSE(test, dma_shares_memory(dev));
	mask = dma_get_required_mask(dev);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_FALSE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_FALSE(test, dma_shares_memory(dev));
	KUNIT_EXPECT_EQ(test, dma_get_required_mask(dev), mask);
}

struct ccd_irq {
	struct irq_work work;
	bool ran, guest;
};

static void ccd_in_irq(struct irq_work *work)
{
	struct ccd_irq *irq = container_of(work, struct ccd_irq, work);

	irq->guest = device_cc_guest(false);
	irq->ran = true;
}

/* What interrupts a test maps for other devices, in no guest */
static void ccd_not_in_interrupts(struct kunit *test)
{
	struct ccd_irq irq = { .work = IRQ_WORK_INIT_HARD(ccd_in_irq) };

	cc_test_guest(test, true);
	KUNIT_EXPECT_TRUE(test, device_cc_guest(false));
	/* It is to interrupt this task, and no other one */
	scoped_guard(preempt) {
		irq_work_queue(&irq.work);
		for (int i = 0; i < 1000 && !READ_ONCE(irq.ran); i++)
			udelay(1);
	}
	irq_work_sync(&irq.work);
	KUNIT_EXPECT_TRUE(test, irq.ran);
	KUNIT_EXPECT_FALSE(test, irq.guest);
}

static void ccd_private_while_accepted(struct kunit *test)
{
	struct device *dev = ((struct ccd_ctx *)test->priv)->dev;

	cc_test_guest(test, true);
	KUNIT_EXPECT_TRUE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_TRUE(test, dma_shares_memory(dev));
	KUNIT_EXPECT_FALSE(test, dma_capable(dev, 0x1000, 0x1000, false, 0));
	KUNIT_EXPECT_TRUE(test, dma_capable(dev, 0x1000, 0x1000, false,
					    DMA_ATTR_CC_SHARED));

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_FALSE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_FALSE(test, dma_shares_memory(dev));
	KUNIT_EXPECT_TRUE(test, dma_capable(dev, 0x1000, 0x1000, false, 0));
	/* It may use what the guest shares with everybody, if told to */
	KUNIT_EXPECT_TRUE(test, dma_capable(dev, 0x1000, 0x1000, false,
					    DMA_ATTR_CC_SHARED));

	KUNIT_ASSERT_EQ(test, cc_test_reject(dev), 0);
	KUNIT_EXPECT_TRUE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_TRUE(test, dma_shares_memory(dev));

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	device_del(dev);
	KUNIT_EXPECT_TRUE(test, force_dma_unencrypted(dev));
	KUNIT_EXPECT_TRUE(test, dma_shares_memory(dev));
}

/* One device's acceptance is not another's, nor one's that is not added yet */
static void ccd_others_are_not(struct kunit *test)
{
	struct device *dev = ((struct ccd_ctx *)test->priv)->dev;
	struct device *other = ccd_device(test);

	cc_test_guest(test, true);
	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_TRUE(test, force_dma_unencrypted(other));
	put_device(other);
}

/* A streaming mapping is the buffer itself, whatever swiotlb= says */
static void ccd_streaming(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	phys_addr_t phys = virt_to_phys(ctx->buf);
	dma_addr_t addr;

	cc_test_guest(test, true);
	/*
	 * The buffer is private: it bounces through shared memory, or not at
	 * all. What bounce buffers this machine has are not shared.
	 */
	kunit_warning_suppress(test)
		addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_NE(test, dma_mapping_error(dev, addr), 0);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, addr), 0);
	KUNIT_EXPECT_EQ(test, dma_to_phys(dev, addr), phys);
	KUNIT_EXPECT_EQ(test, addr, phys_to_dma_encrypted(dev, phys));
	KUNIT_EXPECT_FALSE(test, dma_need_sync(dev, addr));
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
}

/* In atomic context shared memory comes from the pools, private memory not */
static void ccd_coherent(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	dma_addr_t addr;
	void *mem;

	cc_test_guest(test, true);
	/*
	 * Not accepted: it takes a pool of decrypted pages. This machine's are
	 * not decrypted, and that is noticed.
	 */
	if (IS_ENABLED(CONFIG_DMA_COHERENT_POOL)) {
		kunit_warning_suppress(test) {
			mem = dma_alloc_coherent(dev, PAGE_SIZE, &addr, GFP_ATOMIC);
			KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
		}
		KUNIT_EXPECT_NULL(test, mem);
	}

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	mem = dma_alloc_coherent(dev, PAGE_SIZE, &addr, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	KUNIT_EXPECT_EQ(test, dma_to_phys(dev, addr), virt_to_phys(mem));
	if (IS_ENABLED(CONFIG_DMA_COHERENT_POOL))
		KUNIT_EXPECT_FALSE(test, dma_free_from_pool(dev, mem, PAGE_SIZE));
	dma_free_coherent(dev, PAGE_SIZE, mem, addr);

	mem = dma_alloc_coherent(dev, PAGE_SIZE, &addr, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	KUNIT_EXPECT_EQ(test, addr, phys_to_dma_encrypted(dev, virt_to_phys(mem)));
	dma_free_coherent(dev, PAGE_SIZE, mem, addr);
}

/* Memory that is not coherent is no exception */
static void ccd_pages(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	struct page *page;
	dma_addr_t addr;

	cc_test_guest(test, true);
	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	page = dma_alloc_pages(dev, PAGE_SIZE, &addr, DMA_BIDIRECTIONAL,
			       GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, addr,
			phys_to_dma_encrypted(dev, page_to_phys(page)));
	dma_free_pages(dev, PAGE_SIZE, page, addr, DMA_BIDIRECTIONAL);
}

/* swiotlb decides by the allocator of the device */
static void ccd_swiotlb(struct kunit *test)
{
	struct device *dev = ((struct ccd_ctx *)test->priv)->dev;
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	bool forced = is_swiotlb_force_bounce(dev);
	size_t max = dma_max_mapping_size(dev);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_PTR_NE(test, dev->dma_io_tlb_mem, mem);
	KUNIT_EXPECT_FALSE(test, is_swiotlb_force_bounce(dev));
	KUNIT_EXPECT_FALSE(test, is_swiotlb_active(dev));
	KUNIT_EXPECT_EQ(test, dma_max_mapping_size(dev), SIZE_MAX);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_ASSERT_EQ(test, cc_test_reject(dev), 0);
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, mem);
	KUNIT_EXPECT_EQ(test, is_swiotlb_force_bounce(dev), forced);
	KUNIT_EXPECT_EQ(test, dma_max_mapping_size(dev), max);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	device_del(dev);
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, mem);
}

/* With swiotlb=force a mapping bounces, but not an accepted device's */
static void ccd_swiotlb_force(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	dma_addr_t addr;

	if (!is_swiotlb_force_bounce(dev))
		kunit_skip(test, "needs swiotlb=force");

	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, addr), 0);
	KUNIT_EXPECT_NOT_NULL(test, swiotlb_find_pool(dev, dma_to_phys(dev, addr)));
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);

	KUNIT_ASSERT_EQ(test, cc_test_accept(dev), 0);
	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, addr), 0);
	KUNIT_EXPECT_EQ(test, dma_to_phys(dev, addr), virt_to_phys(ctx->buf));
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
}

/* What the platform restricts a device to stays, and is not private memory */
static void ccd_restricted_pool(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	struct io_tlb_mem *pool, *mem = dev->dma_io_tlb_mem;
	dma_addr_t addr;

	pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pool);
	/* One that fails if it is used for more than the decision */
	pool->force_bounce = true;
	pool->for_alloc = true;
	pool->cc_shared = true;
	pool->nslabs = 1;

	cc_test_guest(test, true);
	dev->dma_io_tlb_mem = pool;
	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, pool);

	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_NE(test, dma_mapping_error(dev, addr), 0);
	if (IS_ENABLED(CONFIG_DMA_RESTRICTED_POOL))
		KUNIT_EXPECT_NULL(test, dma_alloc_coherent(dev, PAGE_SIZE,
							   &addr, GFP_KERNEL));

	KUNIT_EXPECT_EQ(test, cc_test_reject(dev), 0);
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, pool);
	dev->dma_io_tlb_mem = mem;
}

/* A mapping that has outlived its driver keeps the device where it is */
static void ccd_leaked_mapping(struct kunit *test)
{
	struct ccd_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	dma_addr_t addr;

	if (!IS_ENABLED(CONFIG_DMA_API_DEBUG))
		kunit_skip(test, "needs CONFIG_DMA_API_DEBUG");

	cc_test_guest(test, false);
	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, addr), 0);
	kunit_warning_suppress(test)
		KUNIT_EXPECT_EQ(test, cc_test_accept(dev), -EBUSY);
	KUNIT_EXPECT_FALSE(test, device_cc_accepted(dev));
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, mem);
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), 0);

	mem = dev->dma_io_tlb_mem;
	addr = dma_map_single(dev, ctx->buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(dev, addr), 0);
	kunit_warning_suppress(test)
		KUNIT_EXPECT_EQ(test, cc_test_reject(dev), -EBUSY);
	KUNIT_EXPECT_TRUE(test, device_cc_accepted(dev));
	KUNIT_EXPECT_PTR_EQ(test, dev->dma_io_tlb_mem, mem);
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, cc_test_reject(dev), 0);
}

static struct kunit_case ccd_cases[] = {
	KUNIT_CASE(ccd_outside_of_a_guest),
	KUNIT_CASE(ccd_not_in_interrupts),
	KUNIT_CASE(ccd_private_while_accepted),
	KUNIT_CASE(ccd_others_are_not),
	KUNIT_CASE(ccd_streaming),
	KUNIT_CASE(ccd_coherent),
	KUNIT_CASE(ccd_pages),
	KUNIT_CASE(ccd_swiotlb),
	KUNIT_CASE(ccd_swiotlb_force),
	KUNIT_CASE(ccd_restricted_pool),
	KUNIT_CASE(ccd_leaked_mapping),
	{}
};

static struct kunit_suite ccd_suite = {
	.name = "confidential-dma",
	.init = ccd_init,
	.exit = ccd_exit,
	.test_cases = ccd_cases,
};

kunit_test_suite(ccd_suite);

MODULE_DESCRIPTION("KUnit tests for DMA of confidential devices");
MODULE_LICENSE("GPL");
