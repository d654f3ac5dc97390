/* The choice of an exchange where the user leaves it to us. */
#include "dist/exchange_impl.h"

#include <stdio.h>

vgg_status exchange_open_auto(comm *c, const exchange_config *config, exchange **out)
{
    vgg_status status = VGG_ERROR;
    for (size_t i = 0; i < exchange_row_count; i++) {
        status = exchange_open_row(c, config, &exchange_rows[i], out);
        if (status != VGG_OK) continue;
        snprintf((*out)->reason, sizeof (*out)->reason, "%s (the first that suits)", exchange_rows[i].name);
        break;
    }
    return status;
}
