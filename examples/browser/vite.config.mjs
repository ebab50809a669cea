// How the page is built. In an application of yours `ringfence` is found in node_modules: nothing of this is needed.
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
export const outDir = at('../../build/example-browser')

export default {
  root: at('./page'),
  configFile: false,
  logLevel: 'warn',
  resolve: { alias: { 'ringfence/thin': at('../../dist/thin.js'), ringfence: at('../../dist/index.js') } },
  build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
}
