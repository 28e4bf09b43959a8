// A Vulkan layer that does what the file of LOGUP_FAULT says, while there is one:
//   lose          every wait and fence query reports a lost device
//   drop A B      of the dispatches recorded since, those from the A-th to the one before the B-th are left out
//   refuse BYTES  there is no memory for allocations of more bytes
// Only what it needs of vulkan.h and vk_layer.h is declared here, so that the tests need no headers.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *handle, const char *name);
typedef int (*CreateInstance)(const void *info, const void *allocator, void **instance);
typedef int (*CreateDevice)(void *physical, const void *info, const void *allocator, void **device);

// VkLayerInstanceLink and VkLayerDeviceLink, in the create info that the loader hands from layer to layer.
struct InstanceLink {
    struct InstanceLink *next;
    GetProcAddr get_instance;
    GetProcAddr get_physical;
};
struct DeviceLink {
    struct DeviceLink *next;
    GetProcAddr get_instance;
    GetProcAddr get_device;
};
struct LinkInfo {
    int32_t type; // 47: instance, 48: device
    struct LinkInfo *next;
    int32_t function; // 0: the link
    void *link;
};

#define EXPORT __attribute__((visibility("default")))
#define OUT_OF_DEVICE_MEMORY (-2)
#define DEVICE_LOST (-4)

struct AllocateInfo {
    int32_t type;
    const void *next;
    uint64_t bytes;
};

static GetProcAddr next_instance, next_device;
static void *the_instance, *a_device;

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
    ((void (*)(void *, uint32_t, uint32_t, uint32_t))next_device(a_device, "vkCmdDispatch"))(commands, x, y, z);
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

static struct LinkInfo *link_of(const void *info, int32_t type) {
    struct LinkInfo *at = ((struct LinkInfo *)info)->next;
    while (at && !(at->type == type && at->function == 0)) at = at->next;
    return at;
}

static int create_instance(const void *info, const void *allocator, void **instance) {
    struct LinkInfo *link_info = link_of(info, 47);
    struct InstanceLink *link = link_info->link;
    next_instance = link->get_instance;
    link_info->link = link->next;
    int result = ((CreateInstance)next_instance(NULL, "vkCreateInstance"))(info, allocator, instance);
    the_instance = *instance;
    return result;
}

static int create_device(void *physical, const void *info, const void *allocator, void **device) {
    struct LinkInfo *link_info = link_of(info, 48);
    struct DeviceLink *link = link_info->link;
    next_device = link->get_device;
    link_info->link = link->next;
    int result = ((CreateDevice)link->get_instance(the_instance, "vkCreateDevice"))(physical, info, allocator, device);
    a_device = *device;
    return result;
}

EXPORT Function vkGetDeviceProcAddr(void *device, const char *name);
EXPORT Function vkGetInstanceProcAddr(void *instance, const char *name);

static Function own(const char *name) {
    static const struct { const char *name; void *function; } table[] = {
        {"vkGetInstanceProcAddr", vkGetInstanceProcAddr}, {"vkGetDeviceProcAddr", vkGetDeviceProcAddr},
        {"vkCreateInstance", create_instance}, {"vkCreateDevice", create_device},
        {"vkWaitSemaphores", wait_semaphores}, {"vkWaitSemaphoresKHR", wait_semaphores},
        {"vkGetSemaphoreCounterValue", get_counter}, {"vkGetSemaphoreCounterValueKHR", get_counter},
        {"vkWaitForFences", wait_fences}, {"vkCmdDispatch", dispatch}, {"vkAllocateMemory", allocate},
    };
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name)) return (Function)table[i].function;
    return NULL;
}

EXPORT Function vkGetDeviceProcAddr(void *device, const char *name) {
    Function function = own(name);
    return function ? function : next_device(device, name);
}

EXPORT Function vkGetInstanceProcAddr(void *instance, const char *name) {
    Function function = own(name);
    return function ? function : next_instance ? next_instance(instance, name) : NULL;
}
