"""What Headwater writes about itself: the status branch, its pages and badges. Nothing in it steers a decision."""
