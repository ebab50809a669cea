// Kernels that training needs beside the float ones: a module of its own on the memory of the first, so that no client
// downloads it.
export * from './conv'
export * from './depthwise'
export * from './gates'
export * from './maps'
export * from './norm'
