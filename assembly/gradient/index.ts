// What training needs beside the kernels of the plain engine; part of their module.
export * from './conv'
export * from './depthwise'
export * from './factors'
export * from './gates'
export * from './maps'
export * from './norm'
