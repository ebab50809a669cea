// The answer, which only this page knows, and beside it, for who asks, what plain text would have said.
import { byId, bytes, element, ms } from './elements.js'

const SHOWN = 4

const NOTHING_SENT = byId('compared').textContent

/** Classes with their shares, the likeliest first. */
function ranking(logits, labels) {
  const top = Math.max(...logits)
  const weights = [...logits].map((logit) => Math.exp(logit - top))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights
    .map((weight, i) => ({ name: labels[i] ?? `class ${i}`, share: weight / sum }))
    .sort((a, b) => b.share - a.share)
}

/** @returns the likeliest class and its share in words */
export function showAnswer({ logits }, labels) {
  const ranked = ranking(logits, labels)
  const lines = ranked.slice(0, SHOWN).map(({ name, share }) => {
    const bar = element('span', { className: 'share' })
    bar.style.width = `${Math.max(1, 100 * share)}%`
    return element('li', {}, element('span', {}, name), bar, element('span', { className: 'percent' }, percent(share)))
  })
  byId('answer-title').textContent = ranked[0].name
  byId('answer-classes').replaceChildren(...lines)
  byId('compared').textContent = NOTHING_SENT
  byId('compare').disabled = false
  byId('answer').hidden = false
  return `${ranked[0].name}, ${percent(ranked[0].share)}`
}

/** Has the same numbers classified openly, by the float network `model` at this page's server. */
export async function showPlain(input, { logits, milliseconds }, labels, model) {
  byId('compare').disabled = true
  try {
    const reply = await fetch(`/plain?model=${model}`, { method: 'POST', body: input })
    if (!reply.ok) throw new Error(await reply.text())
    const plain = await reply.json()
    const [{ name, share }] = ranking(plain.logits, labels)
    const apart = Math.max(...plain.logits.map((logit, i) => Math.abs(logit - logits[i])))
    byId('compared').textContent =
      `In plain text: ${name}, ${percent(share)}, computed in ${ms(plain.milliseconds)} ms from ` +
      `${bytes(input.byteLength)} that showed the picture. Privately: ${ms(milliseconds)} ms. ` +
      `The two answers’ scores are at most ${apart.toFixed(3)} apart.`
  } catch (error) {
    byId('compared').textContent = `Nothing to compare with: ${error.message}`
    byId('compare').disabled = false
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`
