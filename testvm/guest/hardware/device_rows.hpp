// SPDX-License-Identifier: GPL-2.0-or-later
//
// The part of the matrix about views that an IOMMU walks, and the same as an oracle for the walker.
#pragma once
#include "testvm/guest/hardware/device_lab.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {

std::vector<Section> device_lab_sections(DeviceLab& lab);
std::vector<Section> device_object_sections();
Section device_fault_section();

// Random tables, valid and broken, walked by the IOMMU and by the engine's inspector. Prints the seed, the outcomes and
// every table on which the two differ. 0: they agree, and every outcome came up often enough to mean something; else 1.
int compare_device_walks(u64 tables, u64 seed);

}  // namespace morsel::guest
