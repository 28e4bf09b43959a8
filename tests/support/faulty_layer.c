// A Vulkan layer that does what the file of LOGUP_FAULT says, while there is one:
//   lose          every wait and fence query reports a lost device
//   drop A B      of the dispatches recorded since, those from the A-th to the one before the B-th are left out
//   refuse BYTES  there is no memory for allocations of more bytes
#include <stdio.h>
#include <stdlib.h>

#include "vulkan_layer.h"

#define OUT_OF_DEVICE_MEMORY (-2)
#define DEVICE_LOST (-4)

struct AllocateInfo {
    int32_t type;
    const void *next;
    uint64_t bytes;
};

// Whether the file names this fault; its numbers.
static int fault(const char *name, unsigned long long numbers[2]) {
    const char *path = getenv("LOGUP_FAULT");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return 0;
    char word[16] = "";
    numbers[0] = numbers[1] = 0;
    int found = fscanf(file, "%15s %llu %llu", word, &numbers[0], &numbers[1]) >= 1 && !strcmp(word, name);
    fclose(file);
    return found;
}

static int lost(void) {
    unsigned long long numbers[2];
    return fault("lose", numbers);
}

static void dispatch(void *commands, uint32_t x, uint32_t y, uint32_t z) {
    static unsigned long long since; // wgpu records a call's dispatches on one thread
    unsigned long long numbers[2];
    if (!fault("drop", numbers)) {
        since = 0;
    } else {
        unsigned long long at = since++;
        if (numbers[0] <= at && at < numbers[1]) return;
    }
    ((void (*)(void *, uint32_t, uint32_t, uint32_t))next_device(the_device, "vkCmdDispatch"))(commands, x, y, z);
}

static int allocate(void *device, const struct AllocateInfo *info, const void *allocator, uint64_t *memory) {
    unsigned long long numbers[2];
    if (fault("refuse", numbers) && info->bytes > numbers[0]) return OUT_OF_DEVICE_MEMORY;
    int (*next)(void *, const void *, const void *, uint64_t *) = (void *)next_device(device, "vkAllocateMemory");
    return next(device, info, allocator, memory);
}

static int wait_semaphores(void *device, const void *info, uint64_t timeout) {
    int (*next)(void *, const void *, uint64_t) = (void *)next_device(device, "vkWaitSemaphores");
    return lost() ? DEVICE_LOST : next(device, info, timeout);
}

static int get_counter(void *device, uint64_t semaphore, uint64_t *value) {
    int (*next)(void *, uint64_t, uint64_t *) = (void *)next_device(device, "vkGetSemaphoreCounterValue");
    return lost() ? DEVICE_LOST : next(device, semaphore, value);
}

static int wait_fences(void *device, uint32_t num, const uint64_t *fences, uint32_t all, uint64_t timeout) {
    int (*next)(void *, uint32_t, const uint64_t *, uint32_t, uint64_t) = (void *)next_device(device, "vkWaitForFences");
    return lost() ? DEVICE_LOST : next(device, num, fences, all, timeout);
}

static void on_instance(void) {}

static void before_device(struct CreateInfo *info) { (void)info; }

static const struct Hook *hooks(void) {
    static const struct Hook all[] = {
        {"vkWaitSemaphores", wait_semaphores}, {"vkWaitSemaphoresKHR", wait_semaphores},
        {"vkGetSemaphoreCounterValue", get_counter}, {"vkGetSemaphoreCounterValueKHR", get_counter},
        {"vkWaitForFences", wait_fences}, {"vkCmdDispatch", dispatch}, {"vkAllocateMemory", allocate}, {NULL, NULL},
    };
    return all;
}
