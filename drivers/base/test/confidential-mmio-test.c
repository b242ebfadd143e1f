// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for MMIO of confidential devices: the marks in the resource tree,
 * and what ioremap() makes of them.
 *
 * The tests say themselves whether this is a confidential guest. What they map
 * is an unused part of the address space; nothing is accessed.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/anon_inodes.h>
#include <linux/device.h>
#include <linux/device/confidential-mmio.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pci.h>
#include <linux/slab.h>

#ifdef CONFIG_PCI
#include "../../pci/pci.h"
#endif
#include "confidential-mapping-test.h"

#define CCR_SIZE	(16 * PAGE_SIZE)

/**
 * struct ccr_ctx - what each test has
 * @dev: a device without a bus, added
 * @bar: CCR_SIZE bytes of address space that nobody uses, in the resource tree
 */
struct ccr_ctx {
	struct device *dev;
	struct resource bar;
};

/* One page of the bar, or more */
static int ccr_mark(struct device *dev, struct resource *bar,
		    unsigned int page, unsigned int pages)
{
	guard(device)(dev);
	return device_cc_add_mmio(dev, bar->start + page * PAGE_SIZE,
				  pages * PAGE_SIZE);
}

static int ccr_look(struct resource *bar, unsigned int page, unsigned int pages)
{
	return iomem_encrypted(bar->start + page * PAGE_SIZE, pages * PAGE_SIZE);
}

static int ccr_init(struct kunit *test)
{
	struct ccr_ctx *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	ctx->bar.name = "confidential-mmio";
	ctx->bar.flags = IORESOURCE_MEM;
	/* Twice as much, so that it can be moved to what is behind it */
	ret = allocate_resource(&iomem_resource, &ctx->bar, 2 * CCR_SIZE, BIT_ULL(32),
				BIT_ULL(36) - 1, CCR_SIZE, NULL, NULL);
	if (!ret)
		ret = adjust_resource(&ctx->bar, ctx->bar.start, CCR_SIZE);
	if (ret)
		return ret;
	test->priv = ctx;
	ctx->dev = cc_test_device(test, "confidential-mmio");
	return device_add(ctx->dev);
}

static void ccr_exit(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;

	if (!ctx)
		return;
	cc_test_drop(ctx->dev);
	if (ctx->bar.parent)
		release_resource(&ctx->bar);
}

static void ccr_contract(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct device *dev = ctx->dev, *early = cc_test_device(test, "early");
	static struct device_driver drv = { .name = "confidential-mmio" };
	resource_size_t start = ctx->bar.start;

	scoped_guard(device, early)
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(early, start, PAGE_SIZE), -ENODEV);
	put_device(early);

	scoped_guard(device, dev) {
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start, 0), -EINVAL);
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start, 16), -EINVAL);
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start + 16, PAGE_SIZE), -EINVAL);
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, -PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
		/* Over the end of the bar, to where it is nobody's */
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start, 2 * CCR_SIZE), -EBUSY);

		dev->driver = &drv;
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start, PAGE_SIZE), -EBUSY);
		dev->driver = NULL;

		/* Where there is no resource, and none is left behind */
		release_resource(&ctx->bar);
		KUNIT_EXPECT_EQ(test, device_cc_add_mmio(dev, start, PAGE_SIZE), -EBUSY);
		KUNIT_EXPECT_EQ(test, request_resource(&iomem_resource, &ctx->bar), 0);
	}
	KUNIT_EXPECT_EQ(test, iomem_encrypted(start, CCR_SIZE), REGION_DISJOINT);

	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 1, 2), 0);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 1, 2), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 2, 1), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 0, 2), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 2, 2), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 0, 4), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 3, 1), 0);

	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), 0);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 4, 1), -EBUSY);

	device_del(dev);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, &ctx->bar, 4, 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, iomem_encrypted(start, CCR_SIZE), REGION_DISJOINT);
}

static void ccr_look_up(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct resource *bar = &ctx->bar, *mark;

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 2, 2), 0);
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 4, 1), 0);
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 6, 1), 0);

	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 2), REGION_DISJOINT);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 2, 2), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 3, 1), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 2, 3), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 1, 2), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 4, 2), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 4, 3), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 5, 1), REGION_DISJOINT);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 16), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, iomem_encrypted(bar->start + 2 * PAGE_SIZE + 8, 4),
			REGION_INTERSECTS);

	/* In the tree as well, under a name of its own */
	KUNIT_EXPECT_EQ(test, region_intersects(bar->start + 2 * PAGE_SIZE, PAGE_SIZE,
						IORESOURCE_MEM, IORES_DESC_ENCRYPTED),
			REGION_INTERSECTS);
	mark = lookup_resource(bar, bar->start + 2 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, mark);
	KUNIT_EXPECT_STREQ(test, mark->name, "Encrypted MMIO");
	KUNIT_EXPECT_EQ(test, mark->flags & IORESOURCE_BUSY, 0);
}

static void ccr_marks_go(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct device *other = cc_test_device(test, "other");
	struct resource *bar = &ctx->bar;

	KUNIT_EXPECT_EQ(test, device_add(other), 0);
	KUNIT_EXPECT_EQ(test, ccr_mark(other, bar, 8, 1), 0);

	/* An acceptance that never was */
	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 1), REGION_DISJOINT);

	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, cc_test_accept(ctx->dev), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 1), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 1), REGION_DISJOINT);

	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, cc_test_accept(ctx->dev), 0);
	device_del(ctx->dev);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 1), REGION_DISJOINT);

	KUNIT_EXPECT_EQ(test, ccr_look(bar, 8, 1), REGION_INTERSECTS);
	device_del(other);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 8, 1), REGION_DISJOINT);
	KUNIT_EXPECT_NULL(test, bar->child);
	put_device(other);
}

/* A BAR that is reported in several ranges can be requested whole */
static void ccr_join(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct device *other = cc_test_device(test, "other");
	struct resource *bar = &ctx->bar, *res;
	resource_size_t start = bar->start;

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 0, 4), 0);
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 8, 8), 0);
	KUNIT_EXPECT_NULL(test, request_mem_region(start, CCR_SIZE, "hole"));
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 4, 4), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 16), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 4, 1), -EBUSY);
	KUNIT_ASSERT_NOT_NULL(test, bar->child);
	KUNIT_EXPECT_EQ(test, resource_size(bar->child), CCR_SIZE);
	KUNIT_EXPECT_NULL(test, bar->child->sibling);

	KUNIT_EXPECT_EQ(test, cc_test_accept(ctx->dev), 0);
	res = request_mem_region(start, CCR_SIZE, "whole");
	KUNIT_ASSERT_NOT_NULL(test, res);
	KUNIT_EXPECT_EQ(test, res->desc, IORES_DESC_ENCRYPTED);
	release_mem_region(start, CCR_SIZE);
	KUNIT_EXPECT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 16), REGION_DISJOINT);
	KUNIT_EXPECT_NULL(test, bar->child);

	/* Not with that of another device, nor with one that is in use */
	KUNIT_EXPECT_EQ(test, device_add(other), 0);
	KUNIT_EXPECT_EQ(test, ccr_mark(other, bar, 0, 4), 0);
	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 4, 4), 0);
	device_del(other);
	put_device(other);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 4), REGION_DISJOINT);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 4, 4), REGION_INTERSECTS);
	res = request_mem_region(start + 4 * PAGE_SIZE, PAGE_SIZE, "left");
	KUNIT_ASSERT_NOT_NULL(test, res);
	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 8, 4), 0);
	KUNIT_EXPECT_EQ(test, resource_size(res->parent), 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 4, 8), REGION_INTERSECTS);
	release_mem_region(start + 4 * PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_NULL(test, bar->child);
}

/* What a mark was in is elsewhere: nothing is known of either place */
static void ccr_moved(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct resource *bar = &ctx->bar;
	resource_size_t start = bar->start;

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 0, 2), 0);
	/* Who has the old address is not to map it as shared, nor as encrypted */
	KUNIT_ASSERT_EQ(test, release_resource(bar), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 2), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 1, 1), REGION_MIXED);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 2, 1), REGION_DISJOINT);
	KUNIT_EXPECT_TRUE(test, iomem_is_exclusive(start));

	bar->start += 2 * PAGE_SIZE;
	bar->end += 2 * PAGE_SIZE;
	KUNIT_ASSERT_EQ(test, request_resource(&iomem_resource, bar), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 2), REGION_DISJOINT);
	KUNIT_EXPECT_EQ(test, iomem_encrypted(start, PAGE_SIZE), REGION_MIXED);

	/* Nor does it become a part of what is marked where the BAR is now */
	KUNIT_EXPECT_EQ(test, ccr_mark(ctx->dev, bar, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 0, 2), REGION_INTERSECTS);
	KUNIT_EXPECT_EQ(test, iomem_encrypted(start, PAGE_SIZE), REGION_MIXED);

	KUNIT_EXPECT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_NULL(test, bar->child);
	KUNIT_EXPECT_EQ(test, iomem_encrypted(start, PAGE_SIZE), REGION_DISJOINT);
	KUNIT_EXPECT_FALSE(test, iomem_is_exclusive(start));
}

static void ccr_requested(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct resource *bar = &ctx->bar, *res;
	resource_size_t start = bar->start;
	struct device *dev = ctx->dev;

	/* Before the mark: whoever has it may have mapped it as shared */
	KUNIT_ASSERT_NOT_NULL(test, request_mem_region(start, PAGE_SIZE, "early"));
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, bar, 0, 1), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, bar, 0, 2), -EBUSY);
	KUNIT_EXPECT_EQ(test, ccr_mark(dev, bar, 1, 2), 0);
	release_mem_region(start, PAGE_SIZE);

	/* One region over both kinds is not to be had */
	KUNIT_EXPECT_NULL(test, request_mem_region(start, 2 * PAGE_SIZE, "both"));

	/* In between, without a driver */
	res = request_mem_region(start + PAGE_SIZE, PAGE_SIZE, "between");
	KUNIT_ASSERT_NOT_NULL(test, res);
	KUNIT_EXPECT_EQ(test, res->desc, IORES_DESC_ENCRYPTED);
	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), -EBUSY);
	KUNIT_EXPECT_FALSE(test, device_cc_accepted(dev));
	release_mem_region(start + PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_test_accept(dev), 0);

	/* What a driver leaves behind */
	res = request_mem_region(start + PAGE_SIZE, PAGE_SIZE, "left");
	KUNIT_ASSERT_NOT_NULL(test, res);
	KUNIT_EXPECT_EQ(test, cc_test_reject(dev), -EBUSY);
	KUNIT_EXPECT_TRUE(test, device_cc_accepted(dev));
	KUNIT_EXPECT_EQ(test, ccr_look(bar, 1, 2), REGION_INTERSECTS);

	/* A removal cannot be refused; what is left is requested, no more */
	device_del(dev);
	KUNIT_EXPECT_EQ(test, res->desc, IORES_DESC_NONE);
	KUNIT_EXPECT_PTR_EQ(test, res->parent, bar);
	release_mem_region(start + PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_NULL(test, bar->child);
}

static void ccr_user_space(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	resource_size_t start = ctx->bar.start;

	KUNIT_EXPECT_FALSE(test, iomem_is_exclusive(start));
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, &ctx->bar, 0, 1), 0);
	KUNIT_EXPECT_TRUE(test, iomem_is_exclusive(start));
	KUNIT_EXPECT_FALSE(test, iomem_is_exclusive(start + PAGE_SIZE));
	KUNIT_ASSERT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_FALSE(test, iomem_is_exclusive(start));
}

#if defined(CONFIG_PCI) && defined(ARCH_GENERIC_PCI_MMAP_RESOURCE)
/* As PCI's files in sysfs and procfs have it */
static int ccr_pci_mmap(struct file *file, struct vm_area_struct *vma)
{
	return pci_mmap_resource_range(file->private_data, 0, vma, pci_mmap_mem, 0);
}

static const struct file_operations ccr_pci_fops = { .mmap = ccr_pci_mmap };

/* Where user space has it, or a negative error */
static long ccr_pci_maps(struct kunit *test, struct file *file,
			 unsigned int page, unsigned int pages)
{
	return kunit_vm_mmap(test, file, 0, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED, page * PAGE_SIZE);
}

/* Does user space reach anything there? */
static bool ccr_pci_reaches(unsigned long addr)
{
	struct follow_pfnmap_args args = { .address = addr };
	bool ret;

	mmap_read_lock(current->mm);
	args.vma = vma_lookup(current->mm, addr);
	ret = args.vma && !follow_pfnmap_start(&args);
	if (ret)
		follow_pfnmap_end(&args);
	mmap_read_unlock(current->mm);
	return ret;
}

static void ccr_pci_fput(void *file)
{
	fput(file);
}

static void ccr_pci_user_space(struct kunit *test)
{
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	struct ccr_ctx *ctx = test->priv;
	struct resource *bar = &ctx->bar;
	struct file *file;
	long before;

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	pdev->resource[0] = DEFINE_RES_MEM(bar->start, CCR_SIZE);
	file = anon_inode_getfile("ccr-pci", &ccr_pci_fops, pdev, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, ccr_pci_fput, file));
	file->f_mapping = iomem_get_mapping();

	before = ccr_pci_maps(test, file, 4, 8);
	KUNIT_ASSERT_GT(test, before, 0);
	KUNIT_EXPECT_TRUE(test, ccr_pci_reaches(before));
	KUNIT_EXPECT_TRUE(test, ccr_pci_reaches(before + 2 * PAGE_SIZE));

	/* What was mapped before is no longer there, and what is next to it is */
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 6, 2), 0);
	KUNIT_EXPECT_TRUE(test, ccr_pci_reaches(before + PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, ccr_pci_reaches(before + 2 * PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, ccr_pci_reaches(before + 3 * PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, ccr_pci_reaches(before + 4 * PAGE_SIZE));

	/* It is the range that counts, not where the BAR begins */
	KUNIT_EXPECT_EQ(test, ccr_pci_maps(test, file, 6, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, ccr_pci_maps(test, file, 7, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, ccr_pci_maps(test, file, 5, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, ccr_pci_maps(test, file, 7, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, ccr_pci_maps(test, file, 0, 16), -EINVAL);
	KUNIT_EXPECT_GT(test, ccr_pci_maps(test, file, 0, 6), 0);
	KUNIT_EXPECT_GT(test, ccr_pci_maps(test, file, 8, 8), 0);

	KUNIT_ASSERT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_GT(test, ccr_pci_maps(test, file, 0, 16), 0);
}
#endif

#ifdef CONFIG_PCI
static void ccr_pci_release(struct device *dev)
{
	kfree(to_pci_dev(dev));
}

static void ccr_pci_resize(struct kunit *test)
{
	struct pci_host_bridge *bridge = kunit_kzalloc(test, sizeof(*bridge), GFP_KERNEL);
	struct pci_bus *bus = kunit_kzalloc(test, sizeof(*bus), GFP_KERNEL);
	struct pci_dev *pdev;

	KUNIT_ASSERT_NOT_NULL(test, bridge);
	KUNIT_ASSERT_NOT_NULL(test, bus);
	pdev = kzalloc_obj(*pdev);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	/* With a host bridge that has the last word on all that is not accepted */
	bridge->preserve_config = 1;
	bus->bridge = &bridge->dev;
	pdev->bus = bus;
	pdev->dev.release = ccr_pci_release;
	device_initialize(&pdev->dev);
	dev_set_name(&pdev->dev, "confidential-pci");

	KUNIT_EXPECT_EQ(test, device_add(&pdev->dev), 0);
	KUNIT_EXPECT_NE(test, pci_resize_resource(pdev, 0, 0, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, cc_test_accept(&pdev->dev), 0);
	KUNIT_EXPECT_EQ(test, pci_resize_resource(pdev, 0, 0, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, cc_test_reject(&pdev->dev), 0);
	KUNIT_EXPECT_NE(test, pci_resize_resource(pdev, 0, 0, 0), -EBUSY);
	cc_test_drop(&pdev->dev);
}

static int ccr_pci_write(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 val)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ccr_pci_ops = { .write = ccr_pci_write };

/* A bridge whose window has what is marked, as PCI looks for room elsewhere */
static void ccr_pci_window(struct kunit *test)
{
	struct pci_host_bridge *host = kunit_kzalloc(test, sizeof(*host), GFP_KERNEL);
	struct pci_dev *bridge = kunit_kzalloc(test, sizeof(*bridge), GFP_KERNEL);
	struct pci_bus *root = kunit_kzalloc(test, sizeof(*root), GFP_KERNEL);
	struct pci_bus *bus = kunit_kzalloc(test, sizeof(*bus), GFP_KERNEL);
	struct ccr_ctx *ctx = test->priv;
	struct resource *window;

	KUNIT_ASSERT_NOT_NULL(test, host);
	KUNIT_ASSERT_NOT_NULL(test, bridge);
	KUNIT_ASSERT_NOT_NULL(test, root);
	KUNIT_ASSERT_NOT_NULL(test, bus);
	INIT_LIST_HEAD(&host->windows);
	root->bridge = &host->dev;
	root->ops = &ccr_pci_ops;
	bus->parent = root;
	bus->self = bridge;
	bridge->bus = root;
	bridge->dev.init_name = "confidential-bridge";
	window = &bridge->resource[PCI_BRIDGE_MEM_WINDOW];
	*window = DEFINE_RES_MEM_NAMED(ctx->bar.start, CCR_SIZE, "confidential-window");
	KUNIT_ASSERT_EQ(test, request_resource(&ctx->bar, window), 0);

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, &ctx->bar, 2, 1), 0);
	pci_bridge_release_resources(bus, window);
	KUNIT_EXPECT_PTR_EQ(test, window->parent, &ctx->bar);
	KUNIT_EXPECT_EQ(test, ccr_look(&ctx->bar, 2, 1), REGION_INTERSECTS);

	KUNIT_ASSERT_EQ(test, cc_test_reject(ctx->dev), 0);
	pci_bridge_release_resources(bus, window);
	KUNIT_EXPECT_NULL(test, window->parent);
	if (window->parent)
		release_resource(window);
}
#endif

static void ccr_needs_sides(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_X86) && !IS_ENABLED(CONFIG_ARM64))
		kunit_skip(test, "needs an ioremap() that maps MMIO as encrypted or as shared");
}

/* Can that be mapped? */
static bool ccr_maps(struct resource *bar, unsigned int page, unsigned int pages)
{
	void __iomem *p = ioremap(bar->start + page * PAGE_SIZE, pages * PAGE_SIZE);

	if (p)
		iounmap(p);
	return p;
}

static void ccr_ioremap(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	struct resource *bar = &ctx->bar;

	ccr_needs_sides(test);
	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, bar, 1, 2), 0);
	KUNIT_ASSERT_EQ(test, cc_test_accept(ctx->dev), 0);

	cc_test_guest(test, true);
	KUNIT_EXPECT_TRUE(test, ccr_maps(bar, 0, 1));
	KUNIT_EXPECT_TRUE(test, ccr_maps(bar, 1, 2));
	KUNIT_EXPECT_FALSE(test, ccr_maps(bar, 0, 2));
	KUNIT_EXPECT_FALSE(test, ccr_maps(bar, 2, 2));
	KUNIT_EXPECT_FALSE(test, ccr_maps(bar, 0, 16));

	/* Nothing is inside or outside where there is no boundary */
	cc_test_guest(test, false);
	KUNIT_EXPECT_TRUE(test, ccr_maps(bar, 0, 2));

	cc_test_guest(test, true);
	KUNIT_ASSERT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_TRUE(test, ccr_maps(bar, 0, 16));
}

static unsigned int ccr_looks;

static int ccr_marked_in_between(resource_size_t start, resource_size_t size)
{
	return ccr_looks++ ? REGION_INTERSECTS : REGION_DISJOINT;
}

static int ccr_unmarked_in_between(resource_size_t start, resource_size_t size)
{
	return ccr_looks++ ? REGION_DISJOINT : REGION_INTERSECTS;
}

static void ccr_ioremap_race(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;

	ccr_needs_sides(test);
	cc_test_guest(test, true);
	ccr_looks = 0;
	kunit_activate_static_stub(test, iomem_encrypted, ccr_marked_in_between);
	KUNIT_EXPECT_FALSE(test, ccr_maps(&ctx->bar, 0, 1));
	KUNIT_EXPECT_EQ(test, ccr_looks, 2);

	ccr_looks = 0;
	kunit_activate_static_stub(test, iomem_encrypted, ccr_unmarked_in_between);
	KUNIT_EXPECT_FALSE(test, ccr_maps(&ctx->bar, 0, 1));
	KUNIT_EXPECT_EQ(test, ccr_looks, 2);
}

/* Marks that come and go, for sanitizers and lockdep */
static int ccr_come_and_go(void *data)
{
	struct ccr_ctx *ctx = data;

	while (!kthread_should_stop()) {
		if (!ccr_mark(ctx->dev, &ctx->bar, 0, 2) &&
		    !cc_test_accept(ctx->dev))
			cond_resched();
		cc_test_reject(ctx->dev);
	}
	return 0;
}

static void ccr_ioremap_stress(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	unsigned int i, mapped = 0;
	struct task_struct *task;

	ccr_needs_sides(test);
	cc_test_guest(test, true);
	task = kthread_run(ccr_come_and_go, ctx, "confidential-mmio");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (i = 0; i < 1000; i++) {
		mapped += ccr_maps(&ctx->bar, 0, 2);
		/* Never both of it: marks come and go as a whole */
		if (ccr_look(&ctx->bar, 0, 2) == REGION_MIXED)
			break;
	}
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, i, 1000);
	KUNIT_EXPECT_GT(test, mapped, 0);
	KUNIT_EXPECT_EQ(test, ccr_look(&ctx->bar, 0, 2), REGION_DISJOINT);
}

#ifdef CONFIG_X86
static void ccr_x86_encrypted(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	resource_size_t start = ctx->bar.start;

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, &ctx->bar, 0, 2), 0);
	KUNIT_ASSERT_EQ(test, cc_test_accept(ctx->dev), 0);

	cc_test_guest(test, true);
	KUNIT_EXPECT_TRUE(test, ioremap_is_encrypted(start, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, ioremap_is_encrypted(start + 64, 64));
	KUNIT_EXPECT_FALSE(test, ioremap_is_encrypted(start + CCR_SIZE / 2, PAGE_SIZE));

	/* With a driver that has requested it */
	KUNIT_ASSERT_NOT_NULL(test, request_mem_region(start, PAGE_SIZE, "drv"));
	KUNIT_EXPECT_TRUE(test, ioremap_is_encrypted(start, PAGE_SIZE));
	release_mem_region(start, PAGE_SIZE);

	cc_test_guest(test, false);
	KUNIT_EXPECT_FALSE(test, ioremap_is_encrypted(start, PAGE_SIZE));

	cc_test_guest(test, true);
	KUNIT_ASSERT_EQ(test, cc_test_reject(ctx->dev), 0);
	KUNIT_EXPECT_FALSE(test, ioremap_is_encrypted(start, PAGE_SIZE));
}
#endif

#ifdef CONFIG_ARM64
static void ccr_arm64_realm(struct kunit *test)
{
	struct ccr_ctx *ctx = test->priv;
	resource_size_t start = ctx->bar.start;

	KUNIT_ASSERT_EQ(test, ccr_mark(ctx->dev, &ctx->bar, 0, 2), 0);
	KUNIT_ASSERT_EQ(test, cc_test_accept(ctx->dev), 0);

	KUNIT_EXPECT_TRUE(test, realm_mmio_agrees(start, PAGE_SIZE, true));
	KUNIT_EXPECT_FALSE(test, realm_mmio_agrees(start, PAGE_SIZE, false));
	KUNIT_EXPECT_FALSE(test, realm_mmio_agrees(start, CCR_SIZE, false));
	KUNIT_EXPECT_TRUE(test, realm_mmio_agrees(start + CCR_SIZE / 2, PAGE_SIZE, false));
	KUNIT_EXPECT_TRUE(test, realm_mmio_agrees(start + CCR_SIZE / 2, PAGE_SIZE, true));
}
#endif

static struct kunit_case ccr_cases[] = {
	KUNIT_CASE(ccr_contract),
	KUNIT_CASE(ccr_look_up),
	KUNIT_CASE(ccr_marks_go),
	KUNIT_CASE(ccr_join),
	KUNIT_CASE(ccr_moved),
	KUNIT_CASE(ccr_requested),
	KUNIT_CASE(ccr_user_space),
#if defined(CONFIG_PCI) && defined(ARCH_GENERIC_PCI_MMAP_RESOURCE)
	KUNIT_CASE(ccr_pci_user_space),
#endif
#ifdef CONFIG_PCI
	KUNIT_CASE(ccr_pci_resize),
	KUNIT_CASE(ccr_pci_window),
#endif
	KUNIT_CASE(ccr_ioremap),
	KUNIT_CASE(ccr_ioremap_race),
	KUNIT_CASE(ccr_ioremap_stress),
#ifdef CONFIG_X86
	KUNIT_CASE(ccr_x86_encrypted),
#endif
#ifdef CONFIG_ARM64
	KUNIT_CASE(ccr_arm64_realm),
#endif
	{}
};

static struct kunit_suite ccr_suite = {
	.name = "confidential-mmio",
	.init = ccr_init,
	.exit = ccr_exit,
	.test_cases = ccr_cases,
};

kunit_test_suite(ccr_suite);

MODULE_DESCRIPTION("KUnit tests for MMIO of confidential devices");
MODULE_LICENSE("GPL");
