() => {
    const painter = document.querySelector("#painter");
    painter.setAttribute("role", "group");
    painter.setAttribute("aria-label", "Region map, to be painted");
    document.querySelectorAll("input[type=file]:not([aria-label])").forEach(
        input => input.setAttribute("aria-label", "Upload a map"));
    // gradio gives each radio button a name of its own, so that arrow keys would not go from one to the next
    document.addEventListener("focusin", event => {
        const group = event.target.type === "radio" && event.target.closest("#brush, #photo_use");
        if (group) group.querySelectorAll("input").forEach(radio => radio.name = group.id);
    });
    // undo and redo strokes as everywhere, except while a text is written, which has an undo of its own
    document.addEventListener("keydown", event => {
        const key = event.key.toLowerCase();
        const writes = event.target.matches("textarea, input:not([type=radio], [type=checkbox], [type=range])");
        if (!(event.ctrlKey || event.metaKey) || event.altKey || writes || (key !== "z" && key !== "y")) return;
        const name = key === "y" || event.shiftKey ? "Redo" : "Undo";
        const button = painter.querySelector(`button[aria-label="${name}"]`);
        if (!button || painter.classList.contains("waiting")) return;
        event.preventDefault();
        button.click();
    });
    // a stroke that is begun before the brush has its colour, some milliseconds after the click, waits for it
    let early = null;
    const hold = event => {
        const isStroke = event.target.closest?.("#painter canvas") || early?.length;
        if (early === null || !event.isTrusted || !isStroke) return;
        event.stopImmediatePropagation();
        early.push(event);
    };
    for (const type of ["pointerdown", "pointermove", "pointerup"]) window.addEventListener(type, hold, true);
    document.querySelector("#brush").addEventListener("change", event => {
        const colour = getComputedStyle(event.target.closest("label"), "::before").backgroundColor;
        const latest = performance.now() + 20000;
        early ??= [];
        const look = () => {
            const style = painter.querySelector("button[aria-label=Color]")?.getAttribute("style") ?? "";
            const hasColour = style.includes(colour);
            if (!hasColour && performance.now() < latest) return setTimeout(look, 4);
            // the button has it; the brush behind it has it in the next frames
            requestAnimationFrame(() => requestAnimationFrame(() => {
                const held = hasColour ? early ?? [] : [];
                early = null;
                for (const event of held) event.target.dispatchEvent(new PointerEvent(event.type, event));
            }));
        };
        look();
    }, true);
    // gradio calls them "Thumbnail 1 of 8"
    document.querySelectorAll("#templates .thumbnail-item").forEach(button =>
        button.setAttribute("aria-label", `Template: ${button.innerText.trim()}`));
}
