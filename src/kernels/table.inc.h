/* Template: the members of a simd_kernels table that are written alike for every instruction set. */
.per_word = SIMD_PER_WORD, .width = SIMD_WIDTH, .rows = SIMD_ROWS, .panel = SIMD_PANEL, .by_rows = SIMD_TILES(by_rows),
                           .by_rows_fetching = SIMD_TILES(by_rows_fetching), .by_rows_packing = SIMD_TILES(by_rows_packing),
                           .by_columns = SIMD_TILES(by_columns), .by_columns_fetching = SIMD_TILES(by_columns_fetching),
                           .finish_streams = finish_streams, .pack = pack, .pack_transposed = pack_transposed, .copy = copy,
                           .copy_where = copy_where, .pool = pool, .unpool = unpool, .round_to_bf16 = round_to_bf16,
                           .widen_bf16 = widen_bf16, .winograd = WINOGRAD_TRANSFORMS_ROW(winograd, 4, 1, 6),
                           .winograd_2x2 = WINOGRAD_TRANSFORMS_ROW(winograd_2x2, 2, 0, 3),
