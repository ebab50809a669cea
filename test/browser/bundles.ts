// The client as applications ship it: one small page, bundled by Vite, webpack and esbuild from the package as published.
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'
import { build as viteBuild } from 'vite'
import webpack from 'webpack'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What every page runs: connects as the test says and keeps the client where the test finds it. */
const APP = `import { Client, RingfenceError } from 'ringfence'
window.warnings = []
window.losses = []
window.connect = async (server, helper, worker, more) => {
  const onWarning = (text) => window.warnings.push(text)
  const onMaterialLost = (why) => window.losses.push(why)
  const options = { server, helper, deadlineMs: 60000, onWarning, onMaterialLost, ...more }
  if (worker === 'own file') options.worker = () => new Worker('/worker.js', { type: 'module' })
  if (worker === 'none') options.worker = false
  window.client = await Client.create(options)
  return window.client.plan.network
}
window.classify = async (input, signal) => {
  const { logits, prediction, raw, inference } = await window.client.run(Float32Array.from(input), { signal })
  return { logits: [...logits], prediction, raw: [...raw], inference }
}
window.failure = async (call) => {
  try {
    await call()
    return null
  } catch (error) {
    return { typed: error instanceof RingfenceError, code: error.code, message: error.message }
  }
}
window.ready = true
`
const PAGE =
  '<!doctype html><meta charset="utf-8"><title>ringfence</title><script type="module" src="/app.js"></script>'

export type Bundler = 'vite' | 'webpack' | 'esbuild'

/** Builds the page; returns the folder to serve. */
export async function bundle(bundler: Bundler): Promise<string> {
  const source = mkdtempSync(join(tmpdir(), 'ringfence-page-'))
  mkdirSync(join(source, 'node_modules'))
  symlinkSync(root, join(source, 'node_modules', 'ringfence'), 'dir')
  writeFileSync(join(source, 'app.js'), APP)
  writeFileSync(join(source, 'index.html'), PAGE)
  const out = join(source, 'out')
  mkdirSync(out)
  await { vite, webpack: packed, esbuild: plain }[bundler](source, out)
  writeFileSync(join(out, 'index.html'), PAGE)
  return out
}

/** The worker's script, for applications that serve it themselves. */
export async function addWorkerFile(folder: string): Promise<void> {
  await esbuild.build({
    entryPoints: [join(root, 'dist', 'worker.js')],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    outdir: folder,
    external: ['ws'],
    logLevel: 'error',
  })
}

async function vite(source: string, out: string): Promise<void> {
  const output = { entryFileNames: 'app.js', chunkFileNames: 'chunks/[name]-[hash].js' }
  await viteBuild({
    root: source,
    logLevel: 'error',
    configFile: false,
    build: {
      outDir: out,
      emptyOutDir: false,
      target: 'es2022',
      rollupOptions: { input: join(source, 'app.js'), output },
    },
  })
}

async function packed(source: string, out: string): Promise<void> {
  const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) => {
    webpack(
      {
        mode: 'production',
        context: source,
        entry: './app.js',
        output: { path: out, filename: 'app.js', publicPath: '/' },
        resolve: { symlinks: false },
        performance: false,
      },
      (error, result) => (error ? reject(error) : resolve(result)),
    )
  })
  if (stats?.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))
}

async function plain(source: string, out: string): Promise<void> {
  await esbuild.build({
    entryPoints: [join(source, 'app.js')],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    outfile: join(out, 'app.js'),
    logLevel: 'error',
  })
}
