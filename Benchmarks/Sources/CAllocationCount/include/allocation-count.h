// SPDX-License-Identifier: Apache-2.0

// Counts the allocations of this process while counting is on; 0 where the C library is not glibc.
#pragma once

void allocation_count_start(void);
// Ends the counting and returns the number of allocations since its start.
long allocation_count_stop(void);
