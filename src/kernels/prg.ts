export type PrgExports = {}
