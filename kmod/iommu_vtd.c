// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Intel's IOMMU (VT-d) in legacy mode, as the walker of views of the format vtd_second_stage. Sections are those of the
 * Intel Virtualization Technology for Directed I/O Architecture Specification.
 *
 * While it translates, every device behind it needs a context entry: those that are not ours pass through untranslated.
 * Only a machine with one unit for everything is supported, one that nobody else drives.
 *
 * Structures that a unit reads are pushed out of the CPUs' caches first, if it does not look into them (ECAP.C); so are
 * the views' tables, before each transfer and each invalidation. QEMU's says that it does not.
 */
#include <linux/bitfield.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/ioport.h>
#include <linux/jiffies.h>
#include <asm/smp.h>

#include "kmod/iommu.h"

/* Registers: 11.4. */
#define CAP 0x08
#define ECAP 0x10
#define GCMD 0x18
#define GSTS 0x1c
#define RTADDR 0x20
#define FSTS 0x34
#define IQT 0x88
#define IQA 0x90

#define CAP_ND GENMASK_ULL(2, 0)
#define CAP_RWBF BIT_ULL(4)
#define CAP_CM BIT_ULL(7)
#define CAP_SAGAW_4_LEVELS BIT_ULL(10)
#define CAP_SAGAW_5_LEVELS BIT_ULL(11)
#define CAP_MGAW GENMASK_ULL(21, 16)
#define CAP_FRO GENMASK_ULL(33, 24)
#define CAP_SLLPS GENMASK_ULL(35, 34)
#define CAP_PSI BIT_ULL(39)
#define CAP_NFR GENMASK_ULL(47, 40)
#define CAP_MAMV GENMASK_ULL(53, 48)
#define CAP_DWD BIT_ULL(54)
#define CAP_DRD BIT_ULL(55)
#define ECAP_C BIT_ULL(0)
#define ECAP_QI BIT_ULL(1)
#define ECAP_PT BIT_ULL(6)

/* Of GCMD, and answered in GSTS. */
#define COMMAND_TE BIT(31)
#define COMMAND_SRTP BIT(30)
#define COMMAND_QIE BIT(26)
#define STATUS_IRES BIT(25)
#define STATUS_KEPT 0x96ffffffu		/* what a command must repeat: 11.4.4.1 */

#define FSTS_PFO BIT(0)
#define FSTS_QUEUE_ERRORS (BIT(4) | BIT(5) | BIT(6))

/* Fault recording registers: 11.4.14. */
#define RECORD_BYTES 16
#define RECORD_FAULT BIT_ULL(63)
#define RECORD_READ BIT_ULL(62)
#define RECORD_REASON GENMASK_ULL(39, 32)
#define RECORD_SOURCE GENMASK_ULL(15, 0)

/* Reasons: 7.1.3. */
#define REASON_WRITE 5
#define REASON_READ 6
#define REASON_RESERVED 0xc

/* Root and context entries: 9.1, 9.3. */
#define ENTRY_PRESENT BIT_ULL(0)
#define CONTEXT_PASS_THROUGH (2ull << 2)
#define CONTEXT_4_LEVELS 2ull
#define CONTEXT_5_LEVELS 3ull
#define CONTEXT_DOMAIN GENMASK_ULL(23, 8)
#define BUSES 256

/* Invalidation: 6.5.2. */
#define INVALIDATE_CONTEXTS (1ull | 1ull << 4)		/* all */
#define INVALIDATE_IOTLB 2ull
#define IOTLB_ALL (1ull << 4)
#define IOTLB_DOMAIN (2ull << 4)
#define IOTLB_PAGES (3ull << 4)
#define IOTLB_DRAIN_WRITES BIT_ULL(6)
#define IOTLB_DRAIN_READS BIT_ULL(7)
#define IOTLB_DOMAIN_ID GENMASK_ULL(31, 16)
#define INVALIDATION_WAIT (5ull | 1ull << 5)		/* writes its status */
#define QUEUE_ENTRIES (PAGE_SIZE / 16)

#define PASS_THROUGH_DOMAIN 1		/* with caching mode 0 is taken */
#define FIRST_DOMAIN 2
#define ANSWER_US 10000000		/* a guard against a unit that hangs */

enum { PAGE_ROOT, PAGE_OTHERS, PAGE_QUEUE, PAGE_STATUS, PAGES };
struct descriptor {
	u64 low, high;
};

static struct {
	phys_addr_t address;
	void __iomem *registers;
	u64 cap, ecap;
	void *pages;
	u64 *contexts[BUSES];		/* of buses with devices of ours; else all devices pass through */
	struct ida domains;
	unsigned int tail;
	u32 sequence;			/* of the last wait */
} unit = { .domains = IDA_INIT(unit.domains) };

static void *page(unsigned int which)
{
	return unit.pages + which * PAGE_SIZE;
}

static void vtd_publish(void)
{
	if (!(unit.ecap & ECAP_C))
		wbinvd_on_all_cpus();
}

/* ---- finding it ---- */

/* 4 KiB of registers, and nobody else's. */
static int map_registers(const char **reason)
{
	*reason = "the kernel's own driver has the IOMMU: boot with intel_iommu=off intremap=off";
	if (!request_mem_region(unit.address, PAGE_SIZE, "morsel"))
		return -EBUSY;
	unit.registers = ioremap(unit.address, PAGE_SIZE);
	if (!unit.registers) {
		release_mem_region(unit.address, PAGE_SIZE);
		*reason = "the IOMMU's registers cannot be mapped";
		return -ENOMEM;
	}
	if (readl(unit.registers + GSTS) & (COMMAND_TE | COMMAND_QIE | STATUS_IRES))
		return -EBUSY;
	return 0;
}

static void unmap_registers(void)
{
	if (!unit.registers)
		return;
	iounmap(unit.registers);
	release_mem_region(unit.address, PAGE_SIZE);
	unit.registers = NULL;
}

static unsigned int record_at(unsigned int number)
{
	return (FIELD_GET(CAP_FRO, unit.cap) + number) * RECORD_BYTES;
}

static int check_capabilities(const char **reason)
{
	unit.cap = readq(unit.registers + CAP);
	unit.ecap = readq(unit.registers + ECAP);
	if (!(unit.cap & CAP_SAGAW_4_LEVELS) || FIELD_GET(CAP_MGAW, unit.cap) + 1 < 48)
		*reason = "the IOMMU does not translate 48 bits of address by four levels";
	else if (FIELD_GET(CAP_SLLPS, unit.cap) != 3)
		*reason = "the IOMMU does not know pages of 2 MiB and 1 GiB";
	else if (!(unit.ecap & ECAP_QI))
		*reason = "the IOMMU has no queue for invalidations";
	else if (!(unit.ecap & ECAP_PT))
		*reason = "the IOMMU cannot let other devices pass through";
	else if (unit.cap & CAP_RWBF)
		*reason = "the IOMMU's write buffer would have to be flushed, which is not supported";
	else if (record_at(FIELD_GET(CAP_NFR, unit.cap) + 1) > PAGE_SIZE)
		*reason = "the IOMMU's fault records lie beyond its first page of registers, which is not supported";
	else
		return 0;
	return -ENODEV;
}

/* ---- commands and the queue ---- */

static int command(u32 bit, bool on)
{
	const u32 kept = readl(unit.registers + GSTS) & STATUS_KEPT;
	u32 status;

	writel(on ? kept | bit : kept & ~bit, unit.registers + GCMD);
	return readl_poll_timeout(unit.registers + GSTS, status, !(status & bit) == !on, 10, ANSWER_US);
}

static void enqueue(u64 low, u64 high)
{
	struct descriptor *queue = page(PAGE_QUEUE);

	queue[unit.tail] = (struct descriptor){ low, high };
	unit.tail = (unit.tail + 1) % QUEUE_ENTRIES;
}

/* Waits until all that was put into the queue is done. */
static int drain_queue(void)
{
	const u32 *status = page(PAGE_STATUS);
	const unsigned long end = jiffies + usecs_to_jiffies(ANSWER_US);

	unit.sequence++;
	enqueue(INVALIDATION_WAIT | (u64)unit.sequence << 32, __pa(status));
	vtd_publish();
	writel(unit.tail * sizeof(struct descriptor), unit.registers + IQT);
	while (READ_ONCE(*status) != unit.sequence) {
		if (readl(unit.registers + FSTS) & FSTS_QUEUE_ERRORS || time_after(jiffies, end))
			return -EIO;
		cond_resched();
	}
	return 0;
}

static u64 iotlb_command(u64 granularity, unsigned int domain)
{
	return INVALIDATE_IOTLB | granularity | FIELD_PREP(IOTLB_DOMAIN_ID, domain) |
	       (unit.cap & CAP_DWD ? IOTLB_DRAIN_WRITES : 0) | (unit.cap & CAP_DRD ? IOTLB_DRAIN_READS : 0);
}

static int forget_everything(void)
{
	enqueue(INVALIDATE_CONTEXTS, 0);
	enqueue(iotlb_command(IOTLB_ALL, 0), 0);
	return drain_queue();
}

static int vtd_invalidate(unsigned int domain, u64 start, u64 end)
{
	const unsigned int order = fls64((start ^ (end - 1)) >> PAGE_SHIFT);

	if (unit.cap & CAP_PSI && order <= FIELD_GET(CAP_MAMV, unit.cap))
		enqueue(iotlb_command(IOTLB_PAGES, domain), (start & ~((PAGE_SIZE << order) - 1)) | order);
	else
		enqueue(iotlb_command(IOTLB_DOMAIN, domain), 0);
	return drain_queue();
}

/* ---- on and off ---- */

static u64 pass_through_width(void)
{
	return unit.cap & CAP_SAGAW_5_LEVELS ? CONTEXT_5_LEVELS : CONTEXT_4_LEVELS;
}

static void pass_through(u64 *context)
{
	WRITE_ONCE(context[1], pass_through_width() | FIELD_PREP(CONTEXT_DOMAIN, PASS_THROUGH_DOMAIN));
	smp_wmb();
	WRITE_ONCE(context[0], CONTEXT_PASS_THROUGH | ENTRY_PRESENT);
}

static int make_tables(void)
{
	u64 *root, *others;
	unsigned int i;

	unit.pages = morsel_own_pages(PAGES, GFP_KERNEL);
	if (!unit.pages)
		return -ENOMEM;
	root = page(PAGE_ROOT);
	others = page(PAGE_OTHERS);
	for (i = 0; i < BUSES; i++) {
		pass_through(others + 2 * i);
		root[2 * i] = __pa(others) | ENTRY_PRESENT;
	}
	unit.tail = 0;
	return 0;
}

static void free_tables(void)
{
	unsigned int i;

	for (i = 0; i < BUSES; i++) {
		morsel_own_pages_free(unit.contexts[i], 1);
		unit.contexts[i] = NULL;
	}
	morsel_own_pages_free(unit.pages, PAGES);
	unit.pages = NULL;
}

static void vtd_switch_off(void)
{
	if (command(COMMAND_TE, false) || command(COMMAND_QIE, false)) {
		pr_err("morsel: the IOMMU cannot be switched off: its tables stay\n");
		unit.pages = NULL;
		memset(unit.contexts, 0, sizeof(unit.contexts));
	}
	free_tables();
	unmap_registers();
}

static int start_unit(void)
{
	vtd_publish();
	writel(FSTS_QUEUE_ERRORS | FSTS_PFO, unit.registers + FSTS);	/* of before: cleared by writing them */
	writeq(0, unit.registers + IQT);
	writeq(__pa(page(PAGE_QUEUE)), unit.registers + IQA);
	writeq(__pa(page(PAGE_ROOT)), unit.registers + RTADDR);
	if (command(COMMAND_QIE, true) || command(COMMAND_SRTP, true) || forget_everything() ||
	    command(COMMAND_TE, true))
		return -EIO;
	return 0;
}

static int vtd_switch_on(const char **reason)
{
	int error = morsel_dmar_find(&unit.address, reason);

	if (error)
		return error;
	error = map_registers(reason);
	if (!error)
		error = check_capabilities(reason);
	if (error)
		goto unmap;
	*reason = "there is not enough memory";
	error = make_tables();
	if (error)
		goto unmap;
	error = start_unit();
	if (!error)
		return 0;
	*reason = "the IOMMU does not answer";
	vtd_switch_off();
	return error;

unmap:
	unmap_registers();
	return error;
}

/* ---- devices ---- */

static u64 *context_of(const struct morsel_device *device)
{
	const unsigned int bus = device->pci->bus->number;

	if (!unit.contexts[bus]) {
		unit.contexts[bus] = morsel_own_pages(1, GFP_KERNEL);
		if (!unit.contexts[bus])
			return NULL;
		memcpy(unit.contexts[bus], page(PAGE_OTHERS), PAGE_SIZE);
		WRITE_ONCE(*((u64 *)page(PAGE_ROOT) + 2 * bus), __pa(unit.contexts[bus]) | ENTRY_PRESENT);
	}
	return unit.contexts[bus] + 2 * device->pci->devfn;
}

/* As those that are not ours have it. */
static void reset_context(u64 *context)
{
	WRITE_ONCE(context[0], 0);
	smp_wmb();
	pass_through(context);
	if (forget_everything())
		pr_err("morsel: the IOMMU does not answer\n");
}

/* Whether what the device does may come under another number than its own: a quirk of its, or a bridge to PCI. */
static bool has_alias(const struct pci_dev *pci)
{
	const struct pci_bus *bus;

	if (pci->dma_alias_mask)
		return true;
	for (bus = pci->bus; bus->self; bus = bus->parent)
		if (!pci_is_pcie(bus->self) || pci_pcie_type(bus->self) == PCI_EXP_TYPE_PCI_BRIDGE ||
		    pci_pcie_type(bus->self) == PCI_EXP_TYPE_PCIE_BRIDGE)
			return true;
	return false;
}

static int vtd_attach(struct morsel_device *device, const char **reason)
{
	const unsigned int domains = 1u << (4 + 2 * FIELD_GET(CAP_ND, unit.cap));
	u64 *context;
	int domain;

	*reason = "the device is not behind the IOMMU, as the firmware tells it";
	if (!morsel_dmar_covers(device->pci))
		return -ENODEV;
	*reason = "the device's accesses come under another device's number, behind a bridge perhaps";
	if (has_alias(device->pci))
		return -ENODEV;
	*reason = "there is not enough memory";
	context = context_of(device);
	if (!context)
		return -ENOMEM;
	domain = ida_alloc_range(&unit.domains, FIRST_DOMAIN, min(domains, 1u << 16) - 1, GFP_KERNEL);
	if (domain < 0)
		return domain;
	device->domain = domain;
	WRITE_ONCE(context[0], 0);
	smp_wmb();
	WRITE_ONCE(context[1], CONTEXT_4_LEVELS | FIELD_PREP(CONTEXT_DOMAIN, domain));
	smp_wmb();
	WRITE_ONCE(context[0], __pa(device->stage) | ENTRY_PRESENT);
	if (!forget_everything())
		return 0;
	*reason = "the IOMMU does not answer";
	reset_context(context);
	ida_free(&unit.domains, domain);
	return -EIO;
}

static void vtd_detach(struct morsel_device *device)
{
	reset_context(context_of(device));
	ida_free(&unit.domains, device->domain);
}

static bool vtd_caches_non_present(void)
{
	return unit.cap & CAP_CM;
}

static struct morsel_dma_fault read_record(unsigned int number)
{
	void __iomem *record = unit.registers + record_at(number);
	const u64 low = readq(record), high = readq(record + 8);
	struct morsel_dma_fault fault = {
		.reason = FIELD_GET(RECORD_REASON, high),
		.source = FIELD_GET(RECORD_SOURCE, high),
		.access = high & RECORD_READ ? MORSEL_READ : MORSEL_WRITE,
		.address = low & PAGE_MASK,
	};

	if (!(high & RECORD_FAULT))
		return (struct morsel_dma_fault){};
	fault.class = fault.reason == REASON_WRITE || fault.reason == REASON_READ ? MORSEL_DMA_REFUSED :
		      fault.reason == REASON_RESERVED				  ? MORSEL_DMA_RESERVED :
										    MORSEL_DMA_BROKEN;
	writel(RECORD_FAULT >> 32, record + 12);
	return fault;
}

/* Faults came while no record was free (7.3.1): whose they were is not known. Returns whether it was so. */
static bool take_overflow(void)
{
	if (!(readl(unit.registers + FSTS) & FSTS_PFO))
		return false;
	writel(FSTS_PFO, unit.registers + FSTS);
	pr_warn_ratelimited("morsel: more DMA was refused than the IOMMU has records for\n");
	return true;
}

static struct morsel_dma_fault vtd_take_fault(struct morsel_device *device)
{
	struct morsel_dma_fault found = {};
	unsigned int i;

	for (i = 0; i <= FIELD_GET(CAP_NFR, unit.cap); i++) {
		const struct morsel_dma_fault fault = read_record(i);

		if (fault.class && fault.source == pci_dev_id(device->pci) && !found.class)
			found = fault;
	}
	if (take_overflow() && !found.class)
		found.class = MORSEL_DMA_BROKEN;	/* it may have been the device's: its transfer is not done */
	return found;
}

const struct morsel_iommu_ops morsel_vtd_ops = {
	.walker = MORSEL_WALKER_VTD,
	.format = MORSEL_FORMAT_VTD_SECOND_STAGE,
	.table_bits = 0x3,		/* R, W */
	.leaf_bits = 0x3,
	.caches_non_present = vtd_caches_non_present,
	.switch_on = vtd_switch_on,
	.switch_off = vtd_switch_off,
	.attach = vtd_attach,
	.detach = vtd_detach,
	.publish = vtd_publish,
	.invalidate = vtd_invalidate,
	.take_fault = vtd_take_fault,
};
