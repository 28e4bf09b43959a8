// A Vulkan layer that makes a driver say it has shaderSampledImageArrayDynamicIndexing and shaderStorageImageArrayDynamicIndexing: Dawn opens
// no device without them, the lavapipe of Mesa 22.3 lacks them, and no kernel here has an image. The driver itself is never asked for them.
// Only what it needs of vulkan.h and vk_layer.h is declared here, so that nothing needs headers.
#include <stdint.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *handle, const char *name);

struct Features { // VkPhysicalDeviceFeatures
    uint32_t before[34], sampled_image_indexing, storage_buffer_indexing, storage_image_indexing, after[18];
};
struct Features2 { // VkPhysicalDeviceFeatures2, or another member of a chain
    int32_t type;  // 1000059000
    struct Features2 *next;
    struct Features features;
};
struct DeviceInfo { // VkDeviceCreateInfo
    int32_t type;
    void *next;
    uint32_t flags, num_queues;
    void *queues;
    uint32_t num_layers;
    void *layers;
    uint32_t num_extensions;
    void *extensions;
    struct Features *features;
};
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

#define EXPORT __attribute__((visibility("default")))

static GetProcAddr next_instance, next_device;
static void (*next_features)(void *physical, struct Features *features);
static void (*next_features2)(void *physical, struct Features2 *features);
static void *the_instance;

static struct Link *take_link(struct LinkInfo *at, int32_t type) {
    while (!(at->type == type && at->function == 0)) at = at->next;
    struct Link *link = at->link;
    at->link = link->next;
    return link;
}

static void set_indexing(struct Features *features, uint32_t value) {
    features->sampled_image_indexing = features->storage_image_indexing = value;
}

static void get_features(void *physical, struct Features *features) {
    next_features(physical, features);
    set_indexing(features, 1);
}

static void get_features2(void *physical, struct Features2 *features) {
    next_features2(physical, features);
    set_indexing(&features->features, 1);
}

static int create_instance(struct LinkInfo *info, void *allocator, void **instance) {
    next_instance = take_link(info->next, 47)->get_instance;
    int (*create)(void *, void *, void **) = (void *)next_instance(NULL, "vkCreateInstance");
    int result = create(info, allocator, instance);
    if (result == 0) {
        the_instance = *instance;
        // Now: asked for later, the loader gives functions that lead back here.
        next_features = (void *)next_instance(the_instance, "vkGetPhysicalDeviceFeatures");
        next_features2 = (void *)next_instance(the_instance, "vkGetPhysicalDeviceFeatures2");
    }
    return result;
}

static int create_device(void *physical, struct DeviceInfo *info, void *allocator, void **device) {
    struct Link *link = take_link(info->next, 48);
    next_device = link->get_device;
    if (info->features) set_indexing(info->features, 0);
    for (struct Features2 *at = info->next; at; at = at->next)
        if (at->type == 1000059000) set_indexing(&at->features, 0);
    int (*create)(void *, void *, void *, void **) = (void *)link->get_instance(the_instance, "vkCreateDevice");
    return create(physical, info, allocator, device);
}

EXPORT Function vkGetDeviceProcAddr(void *device, const char *name);
EXPORT Function vkGetInstanceProcAddr(void *instance, const char *name);

static Function own(const char *name) {
    static const struct { const char *name; void *function; } table[] = {
        {"vkGetInstanceProcAddr", vkGetInstanceProcAddr}, {"vkGetDeviceProcAddr", vkGetDeviceProcAddr},
        {"vkCreateInstance", create_instance}, {"vkCreateDevice", create_device},
        {"vkGetPhysicalDeviceFeatures", get_features}, {"vkGetPhysicalDeviceFeatures2", get_features2},
        {"vkGetPhysicalDeviceFeatures2KHR", get_features2},
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
