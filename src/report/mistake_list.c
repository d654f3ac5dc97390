#include "report/mistake_list.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"

/* For free(); NULL without memory. */
static char *base64(const void *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = data;
    char *text = malloc((bytes + 2) / 3 * 4 + 1), *to = text;
    if (!text) return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned word = (unsigned)from[i] << 16 | (left > 1 ? (unsigned)from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0);
        *to++ = digits[word >> 18];
        *to++ = digits[word >> 12 & 63];
        *to++ = left > 1 ? digits[word >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[word & 63] : '=';
    }
    *to = '\0';
    return text;
}

static json_t *mistake_json(const run_mistake *mistake)
{
    char *png = mistake->png ? base64(mistake->png, mistake->png_bytes) : NULL;
    json_t *object = json_pack("{s:I, s:i, s:i, s:f, s:s*}", "image", (json_int_t)mistake->image, "label", mistake->label, "answer",
                               mistake->answer, "probability", mistake->probability, "png", png);
    free(png);
    return object;
}

json_t *mistake_list_json(const run_mistake *mistakes, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_list_add(&list, mistake_json(&mistakes[i]));
    return list;
}
