//! What an engine that runs boards by the hundred does with one: presses its power button.

mod button;
