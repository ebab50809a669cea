// Two sets of tests: `npm test` runs everything, `npm run test:fast` what answers within a minute on two idle cores.
import { defineConfig } from 'vitest/config'

/**
 * Left out of the fast set: files that start processes, browsers or bundlers or need dist, and those that run whole
 * networks, thousands of random cases or every fault of a conversation. What they test is tested in the small by others.
 */
const SLOW = [
  'test/{bench,browser,cli,docs,hosts,package}/**', // processes, browsers, bundlers, the built package
  'test/party/**/failures.test.ts', // every fault at every message
]

const test = { testTimeout: 300_000, hookTimeout: 300_000 }

export default defineConfig({
  test: {
    projects: [
      { test: { ...test, name: 'fast', include: ['test/**/*.test.ts'], exclude: SLOW } },
      { test: { ...test, name: 'slow', include: SLOW.map((path) => path.replace(/\*\*$/, '**/*.test.ts')) } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/kernels/wasm.generated.ts'],
      reporter: ['text-summary', 'json-summary', 'html'],
    },
  },
})
