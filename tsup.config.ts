import { defineConfig } from 'tsup'

const library = {
  index: 'src/index.ts',
  server: 'src/server.ts',
  helper: 'src/helper.ts',
  node: 'src/node.ts',
  plan: 'src/plan.ts',
  testing: 'src/testing.ts',
}

export default defineConfig({
  entry: {
    ...library,
    cli: 'src/cli/main.ts',
    bench: 'bench/main.ts',
    // What the planner's worker threads run.
    'planner-thread': 'src/planner/thread.node.ts',
  },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  // The loader only serves to instantiate; bundling it keeps the run-time dependencies few.
  noExternal: ['@assemblyscript/loader'],
  external: [/^node:/, '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
  // ringfence/testing hands out what is internal elsewhere, so nothing may be stripped.
  dts: { entry: library, compilerOptions: { stripInternal: false } },
  splitting: true,
  sourcemap: false,
  clean: true,
})
