// What every Vulkan layer has to do, for layers of one file each: it defines `hooks`, `on_instance` and `before_device` behind this header.
// Only what they need of vulkan.h and vk_layer.h is declared, so that nothing needs those.
#include <stdint.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *handle, const char *name);

// VkLayerInstanceLink and VkLayerDeviceLink, in the create info that the loader hands from layer to layer.
struct Link {
    struct Link *next;
    GetProcAddr get_instance;
    GetProcAddr get_device;
};
struct LinkInfo {
    int32_t type; // 47: instance, 48: device
    struct LinkInfo *next;
    int32_t function; // 0: the link
    struct Link *link;
};
struct CreateInfo { // how VkInstanceCreateInfo and VkDeviceCreateInfo begin
    int32_t type;
    struct LinkInfo *next;
};

struct Hook {
    const char *name;
    void *function;
};

// The functions that the layer has in the place of the driver's; the last has no name.
static const struct Hook *hooks(void);
// Called when there is an instance, and before a device is made.
static void on_instance(void);
static void before_device(struct CreateInfo *info);

static GetProcAddr next_instance, next_device;
static void *the_instance, *the_device; // the last ones made

static struct Link *take_link(struct CreateInfo *info, int32_t type) {
    struct LinkInfo *at = info->next;
    while (!(at->type == type && at->function == 0)) at = at->next;
    struct Link *link = at->link;
    at->link = link->next;
    return link;
}

static int create_instance(struct CreateInfo *info, const void *allocator, void **instance) {
    next_instance = take_link(info, 47)->get_instance;
    int (*create)(struct CreateInfo *, const void *, void **) = (void *)next_instance(NULL, "vkCreateInstance");
    int result = create(info, allocator, instance);
    if (result == 0) {
        the_instance = *instance;
        on_instance();
    }
    return result;
}

static int create_device(void *physical, struct CreateInfo *info, const void *allocator, void **device) {
    struct Link *link = take_link(info, 48);
    next_device = link->get_device;
    before_device(info);
    int (*create)(void *, struct CreateInfo *, const void *, void **) = (void *)link->get_instance(the_instance, "vkCreateDevice");
    int result = create(physical, info, allocator, device);
    if (result == 0) the_device = *device;
    return result;
}

#define EXPORT __attribute__((visibility("default")))
EXPORT Function vkGetDeviceProcAddr(void *device, const char *name);
EXPORT Function vkGetInstanceProcAddr(void *instance, const char *name);

static Function own(const char *name) {
    static const struct Hook all[] = {
        {"vkGetInstanceProcAddr", vkGetInstanceProcAddr}, {"vkGetDeviceProcAddr", vkGetDeviceProcAddr},
        {"vkCreateInstance", create_instance}, {"vkCreateDevice", create_device}, {NULL, NULL},
    };
    for (const struct Hook *hook = all; hook->name; hook++)
        if (!strcmp(hook->name, name)) return (Function)hook->function;
    for (const struct Hook *hook = hooks(); hook->name; hook++)
        if (!strcmp(hook->name, name)) return (Function)hook->function;
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
