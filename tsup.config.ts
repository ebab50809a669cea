import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    server: 'src/server.ts',
    helper: 'src/helper.ts',
    plan: 'src/plan.ts',
    testing: 'src/testing.ts',
    cli: 'src/cli/main.ts',
    bench: 'bench/main.ts',
  },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  // The loader only serves to instantiate; bundling it keeps the run-time dependencies few.
  noExternal: ['@assemblyscript/loader'],
  external: [/^node:/, '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
  dts: { entry: { index: 'src/index.ts', server: 'src/server.ts', helper: 'src/helper.ts', plan: 'src/plan.ts', testing: 'src/testing.ts' } },
  splitting: true,
  sourcemap: false,
  clean: true,
})
