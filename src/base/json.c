#include "base/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vgg11/base/memory.h"

/* jansson 2.14 takes no notice when the buffer of a token cannot grow (lex_save() in its load.c), misses the token's end, and then reads
 * and writes behind it. So nothing is refused to it while it parses: what there is no memory for comes out of a reserve that was mapped
 * before, and what was made of it is thrown away. The reserve has room for the most that a text of so many bytes can ask for: empty
 * objects, of which each is some 200 bytes for two characters and a comma. */
enum { RESERVE_PER_BYTE = 128, RESERVE_LEAST = 1 << 20, PIECE_BYTES = 16 };

static _Thread_local struct {
    void *base; /* NULL: nothing is being parsed */
    size_t bytes, used;
} reserve;

static json_malloc_t allocate_otherwise;
static json_free_t free_otherwise;

static void *allocate(size_t bytes)
{
    void *block = allocate_otherwise(bytes);
    size_t piece = vgg_round_up(bytes, PIECE_BYTES);
    if (block || !reserve.base || piece > reserve.bytes - reserve.used) return block;
    block = (char *)reserve.base + reserve.used;
    reserve.used += piece;
    return block;
}

static void release(void *block)
{
    uintptr_t at = (uintptr_t)block, base = (uintptr_t)reserve.base;
    bool is_reserved = base && at >= base && at < base + reserve.bytes;
    if (!is_reserved) free_otherwise(block);
}

static void put_between(void)
{
    json_get_alloc_funcs(&allocate_otherwise, &free_otherwise);
    json_set_alloc_funcs(allocate, release);
}

json_t *json_parse(const char *text, size_t bytes, size_t flags, json_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, put_between);
    reserve.bytes = RESERVE_LEAST + RESERVE_PER_BYTE * bytes;
    reserve.used = 0;
    if (vgg_map(reserve.bytes, &reserve.base) != VGG_OK) {
        errno = ENOMEM;
        return NULL;
    }
    json_t *value = json_loadb(text, bytes, flags, error);
    bool starved = reserve.used > 0;
    if (starved) json_decref(value);
    int found = starved ? ENOMEM : errno;
    vgg_unmap(reserve.base, reserve.bytes);
    reserve.base = NULL;
    errno = found;
    return starved ? NULL : value;
}

json_t *json_parse_text(const char *text) { return json_parse(text, strlen(text), 0, NULL); }

void json_list_add(json_t **list, json_t *value)
{
    if (!*list) {
        json_decref(value);
    } else if (json_array_append_new(*list, value) != 0) {
        json_decref(*list);
        *list = NULL;
    }
}
