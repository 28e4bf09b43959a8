// A Vulkan layer that makes a driver say it has shaderSampledImageArrayDynamicIndexing and shaderStorageImageArrayDynamicIndexing: Dawn opens
// no device without them, the lavapipe of Mesa 22.3 lacks them, and no kernel here has an image. The driver itself is never asked for them.
#include "../../tests/support/vulkan_layer.h"

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

static void (*next_features)(void *physical, struct Features *features);
static void (*next_features2)(void *physical, struct Features2 *features);

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

// Asked for later, the loader gives functions that lead back here.
static void on_instance(void) {
    next_features = (void *)next_instance(the_instance, "vkGetPhysicalDeviceFeatures");
    next_features2 = (void *)next_instance(the_instance, "vkGetPhysicalDeviceFeatures2");
}

static void before_device(struct CreateInfo *create_info) {
    struct DeviceInfo *info = (void *)create_info;
    if (info->features) set_indexing(info->features, 0);
    for (struct Features2 *at = info->next; at; at = at->next)
        if (at->type == 1000059000) set_indexing(&at->features, 0);
}

static const struct Hook *hooks(void) {
    static const struct Hook all[] = {
        {"vkGetPhysicalDeviceFeatures", get_features}, {"vkGetPhysicalDeviceFeatures2", get_features2},
        {"vkGetPhysicalDeviceFeatures2KHR", get_features2}, {NULL, NULL},
    };
    return all;
}
