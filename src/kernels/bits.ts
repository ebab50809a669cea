export type BitsExports = {}
