// SPDX-License-Identifier: Apache-2.0
//
// Counts the allocations of the whole process. Replaces malloc, calloc and realloc of glibc in the test program;
// elsewhere, and with a sanitizer that replaces them itself, nothing is counted.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdbool.h>
#include <stddef.h>

/// Whether allocations are counted here.
bool allocations_are_counted(void);

/// The number of allocations so far.
size_t allocation_count(void);

#endif
