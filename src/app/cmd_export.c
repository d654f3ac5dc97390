/* export: the weights of a checkpoint, for other programs. */
#include <inttypes.h>
#include <string.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/trained_network.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/checkpoint/weight_file.h"
#include "vgg11/nn/model.h"

/* It may be the one that is exported, or all that is left of another run. */
static vgg_status spare_checkpoints(const char *path)
{
    checkpoint_state state;
    vgg_status status = checkpoint_read_state(path, &state);
    checkpoint_state_clear(&state);
    if (status == VGG_UNAVAILABLE) return status;
    return status != VGG_OK ? VGG_OK
                            : vgg_fail(VGG_BAD_OPTION, "%s: is a checkpoint, which a run can go on from; name another file", path);
}

static void tell(const options *o, const char *path, const training_facts *facts)
{
    static const char keras_suffix[] = ".weights.h5";
    size_t length = strlen(path), suffix = sizeof keras_suffix - 1;
    vgg_log(VGG_LOG_INFO,
            "%s: the weights of %s, step %" PRIu64 ", in format %s, for pictures (pixel / 255 - %.6g) / %.6g of 32x32 (%s)", path,
            o->checkpoint, facts->step, o->format, facts->mean, facts->deviation, trained_network_resize(o, facts));
    bool for_keras = strcmp(o->format, "keras") == 0;
    if (for_keras && (length < suffix || strcmp(path + length - suffix, keras_suffix) != 0))
        vgg_log(VGG_LOG_WARNING, "%s: Keras reads it only under a name that ends in %s", path, keras_suffix);
}

static vgg_status export_weights(const options *o, const char *path, float *weights)
{
    checkpoint_state state;
    training_facts facts;
    vgg_status status = checkpoint_load_weights(o->checkpoint, &state, weights);
    if (status == VGG_OK) status = trained_network_facts(o->checkpoint, &state, &facts);
    if (status == VGG_OK) status = weight_format_find(o->format)->write(path, &state, weights);
    checkpoint_state_clear(&state);
    if (status == VGG_OK) tell(o, path, &facts);
    return status;
}

vgg_status cmd_export(comm *c, const options *o)
{
    (void)c; /* one rank */
    if (!o->checkpoint) return vgg_fail(VGG_BAD_OPTION, "export: --checkpoint FILE is missing");
    if (!o->format) return vgg_fail(VGG_BAD_OPTION, "export: --format NAME is missing");
    const char *path = o->arguments[0];
    VGG_TRY(spare_checkpoints(path));
    size_t bytes = model_flat_count() * sizeof(float);
    void *weights;
    VGG_TRY(vgg_map(bytes, &weights));
    vgg_status status = export_weights(o, path, weights);
    vgg_unmap(weights, bytes);
    return status;
}
