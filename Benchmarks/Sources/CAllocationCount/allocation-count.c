// SPDX-License-Identifier: Apache-2.0

// A program may define malloc itself; these three count and leave the work to glibc. Swift has no way to do that.
#include "allocation-count.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static _Atomic int is_counting;
static _Atomic long count;

#ifdef __GLIBC__
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static void note(void) {
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    note();
    return __libc_realloc(old, size);
}
#endif

void allocation_count_start(void) {
    atomic_store(&count, 0);
    atomic_store(&is_counting, 1);
}

long allocation_count_stop(void) {
    atomic_store(&is_counting, 0);
    return atomic_load(&count);
}
