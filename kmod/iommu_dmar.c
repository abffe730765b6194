// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACPI's DMAR table: where the IOMMU's registers are, and which devices are behind it. Sections are those of the Intel
 * Virtualization Technology for Directed I/O Architecture Specification.
 */
#include <linux/acpi.h>

#include "kmod/iommu.h"

/* The one unit of the machine: 8.3. The table is given back by acpi_put_table(). */
static const struct acpi_dmar_hardware_unit *find_unit(struct acpi_table_header **table)
{
	const struct acpi_dmar_hardware_unit *found = NULL;
	const void *at, *end;
	unsigned int units = 0;

	if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_DMAR, 0, table)))
		return NULL;
	end = (void *)*table + (*table)->length;
	for (at = (void *)*table + sizeof(struct acpi_table_dmar); at + sizeof(struct acpi_dmar_header) <= end;) {
		const struct acpi_dmar_header *header = at;

		if (header->length < sizeof(*header) || at + header->length > end)
			break;
		if (header->type == ACPI_DMAR_TYPE_HARDWARE_UNIT && header->length >= sizeof(*found)) {
			found = at;
			units++;
		}
		at += header->length;
	}
	if (units == 1 && !found->segment)
		return found;
	acpi_put_table(*table);
	return NULL;
}

int morsel_dmar_find(phys_addr_t *address, const char **reason)
{
	struct acpi_table_header *table;
	const struct acpi_dmar_hardware_unit *found = find_unit(&table);

	*reason = "the firmware's DMAR table does not tell of exactly one Intel IOMMU, for PCI segment 0";
	if (!found)
		return -ENODEV;
	*address = found->address;
	acpi_put_table(table);
	return 0;
}

/* Whether a device scope names it: 8.3.1. Paths of several steps are not followed. */
static bool names(const struct acpi_dmar_device_scope *scope, const struct pci_dev *pci)
{
	const struct acpi_dmar_pci_path *path = (const void *)(scope + 1);

	return scope->length == sizeof(*scope) + sizeof(*path) && scope->bus == pci->bus->number &&
	       pci->devfn == PCI_DEVFN(path->device, path->function);
}

static bool is_in_scopes(const struct acpi_dmar_hardware_unit *found, struct pci_dev *pci)
{
	const void *at, *end = (const void *)found + found->header.length;
	struct pci_dev *named;

	for (at = found + 1; at + sizeof(struct acpi_dmar_device_scope) <= end;) {
		const struct acpi_dmar_device_scope *scope = at;

		if (scope->length < sizeof(*scope) || at + scope->length > end)
			break;
		for (named = pci; named; named = pci_upstream_bridge(named))
			if (names(scope, named) &&
			    (named == pci || scope->entry_type == ACPI_DMAR_SCOPE_TYPE_BRIDGE))
				return true;
		at += scope->length;
	}
	return false;
}

bool morsel_dmar_covers(struct pci_dev *pci)
{
	struct acpi_table_header *table;
	const struct acpi_dmar_hardware_unit *found = find_unit(&table);
	bool result;

	if (!found)
		return false;
	result = found->flags & ACPI_DMAR_INCLUDE_ALL || is_in_scopes(found, pci);
	acpi_put_table(table);
	return result;
}
