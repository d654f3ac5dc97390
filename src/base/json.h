/* JSON by jansson, where memory runs out. Private to the rooms that link jansson. */
#ifndef VGG11_BASE_JSON_H
#define VGG11_BASE_JSON_H

#include <jansson.h>

/* json_loadb() of `bytes` at `text`, with its flags and its error (NULL: none), which goes on to be safe where an allocation fails: then
 * NULL, and errno is ENOMEM. The caller has the reference. Any thread may call it. */
json_t *json_parse(const char *text, size_t bytes, size_t flags, json_error_t *error);

/* The same of a text that ends in a zero, without flags and error. */
json_t *json_parse_text(const char *text);

/* Adds `value`, whose reference it takes over, to *list. Where there was no memory for either, *list is NULL from then on. */
void json_list_add(json_t **list, json_t *value);

#endif
