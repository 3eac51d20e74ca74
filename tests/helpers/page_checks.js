() => {
    const parse = text => {
        const numbers = text.match(/[\d.]+/g).map(Number);
        return numbers.length < 4 ? [...numbers, 1] : numbers;
    };
    const over = (front, back) => front.slice(0, 3).map((v, i) => v * front[3] + back[i] * (1 - front[3]));
    const ground = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
        return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const contrast = (colour, back) => {
        const [a, b] = [light(over(parse(colour), back)), light(back)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    const isShown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
        && e.getBoundingClientRect().width > 2 && !e.closest("[disabled], canvas, script, style");

    // [contrast, what] of texts that can be read badly, and of checkboxes that can be seen badly
    window.lowContrast = () => {
        const found = [];
        for (const e of [...document.querySelectorAll("body *")].filter(isShown)) {
            const style = getComputedStyle(e);
            const texts = [...e.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent.trim());
            if (e.matches("input:not([type=checkbox], [type=radio], [type=range]), textarea")) texts.push(e.value);
            const said = texts.join("");
            if (said && contrast(style.color, ground(e)) < 4.5) {
                found.push([contrast(style.color, ground(e)).toFixed(2), said.slice(0, 40)]);
            }
            if (e.matches("input[type=checkbox]")) {
                const back = ground(e.parentElement);
                const best = Math.max(contrast(style.borderTopColor, back), contrast(style.backgroundColor, back));
                if (best < 3) found.push([best.toFixed(2), "a checkbox"]);
            }
        }
        return found;
    };

    // "" where the focus is seen, by an outline on what has it or on its label; else what has it
    window.unseenFocus = () => {
        const focused = document.activeElement;
        if (!focused || focused === document.body) return "";
        for (const e of [focused, focused.closest("label"), focused.parentElement]) {
            const style = e && getComputedStyle(e);
            if (style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) return "";
        }
        return focused.outerHTML.slice(0, 120);
    };
}
