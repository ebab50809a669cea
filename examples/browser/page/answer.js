// The answer, which only this page knows.
import { byId, element } from './elements.js'

const SHOWN = 4

/** @returns the likeliest class and its share in words */
export function showAnswer({ logits }, labels) {
  const top = Math.max(...logits)
  const weights = [...logits].map((logit) => Math.exp(logit - top))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const ranked = weights.map((weight, i) => ({ name: labels[i] ?? `class ${i}`, share: weight / sum }))
  ranked.sort((a, b) => b.share - a.share)
  const lines = ranked.slice(0, SHOWN).map(({ name, share }) => {
    const bar = element('span', { className: 'share' })
    bar.style.width = `${Math.max(1, 100 * share)}%`
    return element('li', {}, element('span', {}, name), bar, element('span', { className: 'percent' }, percent(share)))
  })
  byId('answer-title').textContent = ranked[0].name
  byId('answer-classes').replaceChildren(...lines)
  byId('answer').hidden = false
  return `${ranked[0].name}, ${percent(ranked[0].share)}`
}

const percent = (share) => `${(100 * share).toFixed(1)} %`
